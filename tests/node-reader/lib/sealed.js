// Requests for logs and their sealed answers (contracts/schema/logs.cddl).
import { FormatError, decode } from './cbor.js';
import { SignatureError, schema, sha256, verify } from './statement.js';
import { open } from './x25519.js';

const MAXIMUM_REQUEST = 12_000;
const MAXIMUM_ANSWER = 200_704;

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
  const piece = decode(open(Buffer.from(answer.get('sealed')), answer.get('key'), secret, 'grid log 1', requestId));
  refuse(schema.problem(piece, 'log-piece'));
  return { piece };
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
