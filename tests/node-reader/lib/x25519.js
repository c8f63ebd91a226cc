// What is sealed by X25519, HKDF and ChaCha20-Poly1305, by Node's own.
import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from 'node:crypto';
import { FormatError } from './cbor.js';

const PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
const TAG = 16;

const own = (secret) => createPrivateKey({ key: Buffer.concat([PRIVATE, secret]), format: 'der', type: 'pkcs8' });

export const publicOf = (secret) => createPublicKey(own(secret)).export({ format: 'der', type: 'spki' }).subarray(-32);

/** What the owner of the secret finds in it; throws FormatError when it was sealed to another, or bent. */
export function open(sealed, key, secret, info, associated) {
  if (sealed.length < TAG) throw new FormatError('nothing is sealed in it');
  try {
    const other = createPublicKey({ key: Buffer.concat([PUBLIC, key]), format: 'der', type: 'spki' });
    const shared = diffieHellman({ privateKey: own(secret), publicKey: other });
    const cipher = createDecipheriv('chacha20-poly1305', Buffer.from(hkdfSync('sha256', shared, Buffer.concat([key, publicOf(secret)]), info, 32)), Buffer.alloc(12), { authTagLength: TAG });
    cipher.setAuthTag(sealed.subarray(-TAG));
    cipher.setAAD(associated, { plaintextLength: sealed.length - TAG });
    return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()]);
  } catch (e) {
    throw new FormatError(`it does not open: ${e.message}`, { cause: e });
  }
}
