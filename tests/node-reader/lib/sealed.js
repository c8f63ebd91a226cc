// Requests for logs and their sealed answers (contracts/schema/logs.cddl), by Node's own X25519, HKDF and ChaCha20-Poly1305.
import { createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, hkdfSync } from 'node:crypto';
import { FormatError, decode } from './cbor.js';
import { SignatureError, schema, sha256, verify } from './statement.js';

const MAXIMUM_REQUEST = 12_000;
const MAXIMUM_ANSWER = 200_704;
const X25519_PRIVATE = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_PUBLIC = Buffer.from('302a300506032b656e032100', 'hex');
const TAG = 16;

/** Reads and verifies; throws FormatError or SignatureError. */
export function readLogRequest(bytes) {
  const [requestBytes, signatures] = read(bytes, 'signed-log-request', MAXIMUM_REQUEST);
  const keys = [];
  for (const [key, signature] of signatures) {
    if (keys.length && Buffer.compare(keys.at(-1), key) >= 0) throw new FormatError('signers are not sorted and unique');
    keys.push(key);
    if (!verify(signature, signed('grid log request 1', requestBytes), key)) throw new SignatureError('a signature does not fit');
  }
  return { request: decode(requestBytes), keys, id: sha256(bytes) };
}

/** The piece, or the node's no; throws FormatError or SignatureError. */
export function openLogAnswer(bytes, requestId, secret, node) {
  const [answerBytes, signature] = read(bytes, 'signed-log-answer', MAXIMUM_ANSWER);
  if (!verify(signature, signed('grid log answer 1', answerBytes), node)) throw new SignatureError('the node did not sign it');
  const answer = decode(answerBytes);
  if (!Buffer.from(answer.get('request')).equals(requestId)) throw new FormatError('it answers another request');
  if (answer.get('code')) return { code: answer.get('code'), detail: answer.get('detail') };
  const piece = decode(open(answer, requestId, secret));
  refuse(schema.problem(piece, 'log-piece'));
  return { piece };
}

function open(answer, requestId, secret) {
  const sealed = Buffer.from(answer.get('sealed'));
  if (sealed.length < TAG) throw new FormatError('nothing is sealed in it');
  const own = createPrivateKey({ key: Buffer.concat([X25519_PRIVATE, secret]), format: 'der', type: 'pkcs8' });
  const to = createPublicKey(own).export({ format: 'der', type: 'spki' }).subarray(-32);
  try {
    const other = createPublicKey({ key: Buffer.concat([X25519_PUBLIC, answer.get('key')]), format: 'der', type: 'spki' });
    const shared = diffieHellman({ privateKey: own, publicKey: other });
    const key = Buffer.from(hkdfSync('sha256', shared, Buffer.concat([answer.get('key'), to]), 'grid log 1', 32));
    const cipher = createDecipheriv('chacha20-poly1305', key, Buffer.alloc(12), { authTagLength: TAG });
    cipher.setAuthTag(sealed.subarray(-TAG));
    cipher.setAAD(requestId, { plaintextLength: sealed.length - TAG });
    return Buffer.concat([cipher.update(sealed.subarray(0, -TAG)), cipher.final()]);
  } catch (e) {
    throw new FormatError(`it does not open: ${e.message}`, { cause: e });
  }
}

function read(bytes, rule, maximum) {
  if (bytes.length > maximum) throw new FormatError('too large');
  const value = decode(bytes);
  refuse(schema.problem(value, rule));
  return value;
}

const signed = (context, bytes) => Buffer.concat([Buffer.from(`${context}\0`), bytes]);

function refuse(problem) {
  if (problem) throw new FormatError(problem);
}
