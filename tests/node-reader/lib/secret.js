// What an agreement seals to a node (contracts/schema/workloads.cddl).
import { createHash } from 'node:crypto';
import { encode } from 'cborg';
import { FormatError } from './cbor.js';
import { open, publicOf } from './x25519.js';

const [KEY, TAG, BLOCK] = [32, 16, 64];
const P = 2n ** 255n - 19n;

/** The value; throws FormatError when it was not sealed to this node, for this account and ledger. */
export function openSecret(sealed, ledger, user, seed) {
  if (sealed.length <= KEY + TAG || (sealed.length - KEY - TAG) % BLOCK) throw new FormatError('nothing that is sealed');
  // Two keys, the shorter first: what core deterministic encoding says as well.
  const context = encode(new Map([['user', user], ['ledger', ledger]]));
  const padded = open(sealed.subarray(KEY), sealed.subarray(0, KEY), secretOf(seed), 'grid secret 1', context);
  const end = padded.lastIndexOf(0x80);
  if (end < padded.length - BLOCK || padded.subarray(end + 1).some((b) => b)) throw new FormatError('padded wrongly');
  return padded.subarray(0, end);
}

/** To whom a secret for the owner of an Ed25519 key is sealed: u = (1 + y) / (1 - y), RFC 7748 section 4.1. */
export function sealingKey(ed25519) {
  const y = fromLittle(ed25519) & (2n ** 255n - 1n);
  let u = ((1n + y) * power(P + 1n - y, P - 2n)) % P;
  return Buffer.from(Array.from({ length: 32 }, () => { const byte = Number(u & 255n); u >>= 8n; return byte; }));
}

export const sealingKeyOfSeed = (seed) => publicOf(secretOf(seed));

// What Ed25519 multiplies with, RFC 8032 section 5.1.5.
const secretOf = (seed) => createHash('sha512').update(seed).digest().subarray(0, 32);

const fromLittle = (bytes) => [...bytes].reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);

function power(base, exponent) {
  let result = 1n;
  for (base %= P; exponent; exponent >>= 1n, base = (base * base) % P) if (exponent & 1n) result = (result * base) % P;
  return result;
}
