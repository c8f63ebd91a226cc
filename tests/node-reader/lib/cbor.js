// Core deterministic CBOR (RFC 8949 §4.2.1): what does not come out the same when it is written again is refused.
import { decode as read, encode as write } from 'cborg';

const STRICT = { strict: true, allowIndefinite: false, allowUndefined: false, allowInfinity: false, allowNaN: false, rejectDuplicateMapKeys: true, useMaps: true };

export class FormatError extends Error {}

/** Maps become Map, integers beyond 2⁵³ BigInt. */
export function decode(bytes) {
  let value;
  try {
    value = read(bytes, STRICT);
  } catch (e) {
    throw new FormatError(`not CBOR: ${e.message}`, { cause: e });
  }
  if (!Buffer.from(write(value)).equals(bytes)) throw new FormatError('not in its one deterministic form');
  return value;
}

/** The one tag that is used, before an otherwise untagged value. */
export function decodeTagged(tag, bytes) {
  const head = Uint8Array.of(0xd8, tag);
  if (!Buffer.from(head).equals(bytes.subarray(0, 2))) throw new FormatError(`the tag ${tag} is missing`);
  return { tag, value: decode(bytes.subarray(2)) };
}

export const encode = (value) => Buffer.from(write(value));

/** As the vectors show it: byte strings are {"bytes": hex}. */
export function toJson(value) {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [k, toJson(v)]));
  if (Array.isArray(value)) return value.map(toJson);
  return typeof value === 'bigint' ? Number(value) : value;
}
