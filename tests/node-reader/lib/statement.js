import { createHash } from 'node:crypto';
import { hashes, verify as verifyEd25519 } from '@noble/ed25519';
import { FormatError, decode, decodeTagged, encode } from './cbor.js';
import { Schema } from './cddl.js';
import { checkBody } from './rules.js';

export const schema = Schema.load(new URL('../../../contracts/schema/', import.meta.url));

// A kind is its rule's name with a dot for the hyphen.
const RULES = new Map(schema.choices('body').map((rule) => [rule.replace('-', '.'), rule]));

export const kinds = [...RULES.keys()];

export class SignatureError extends Error {}

hashes.sha512 = (data) => Uint8Array.from(createHash('sha512').update(data).digest());

export const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();

const MAXIMUM_SIZE = 60_000;

/** Reads and verifies; throws FormatError or SignatureError. */
export function readStatement(bytes) {
  if (bytes.length > MAXIMUM_SIZE) throw new FormatError('too large');
  const envelope = decodeTagged(98, bytes);
  refuse(schema.problem(envelope, 'statement'));
  const [bodyHeader, , payloadBytes, signers] = envelope.value;
  const payload = readPayload(payloadBytes);

  const keys = [];
  for (const [signerHeader, , signature] of signers) {
    const key = decode(signerHeader).get(4);
    if (keys.length && Buffer.compare(keys.at(-1), key) >= 0) throw new FormatError('signers are not sorted and unique');
    keys.push(key);
    const signed = encode(['Signature', bodyHeader, signerHeader, new Uint8Array(0), payloadBytes]);
    if (!verify(signature, signed, key)) throw new SignatureError('a signature does not fit');
  }
  return { payload, keys, id: sha256(payloadBytes) };
}

/** Throws FormatError. */
export function readPayload(bytes) {
  const payload = decode(bytes);
  refuse(schema.problem(payload, 'payload'));
  const rule = RULES.get(payload.get('kind'));
  if (!rule) throw new FormatError(`unknown kind ${payload.get('kind')}`);
  refuse(schema.problem(payload.get('body'), rule));
  if (BigInt(payload.get('until')) <= BigInt(payload.get('issued'))) throw new FormatError('until is not after issued');
  refuse(checkBody(payload.get('kind'), payload.get('body')));
  return payload;
}

/** Strictly by RFC 8032: nothing malleable, no point in a second spelling, no key of small order. */
export function verify(signature, data, key) {
  try {
    return verifyEd25519(Uint8Array.from(signature), Uint8Array.from(data), Uint8Array.from(key), { zip215: false });
  } catch {
    return false;
  }
}

function refuse(problem) {
  if (problem) throw new FormatError(problem);
}
