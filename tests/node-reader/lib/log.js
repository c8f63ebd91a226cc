import { sha256, verify } from './statement.js';

export const leafHash = (data) => sha256(Buffer.of(0), data);

export const nodeHash = (left, right) => sha256(Buffer.of(1), left, right);

/** RFC 6962 §2.1, recursively. */
export function root(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0];
  const k = split(leaves.length);
  return nodeHash(root(leaves.slice(0, k)), root(leaves.slice(k)));
}

/** The root that an inclusion path leads to, or null when the path has not the length that index and size ask for. */
export function rootOfInclusion(leaf, index, size, path) {
  if (index >= size) return null;
  if (size === 1) return path.length === 0 ? leaf : null;
  if (path.length === 0) return null;
  const k = split(size);
  const [rest, last] = [path.slice(0, -1), path.at(-1)];
  const below = index < k ? rootOfInclusion(leaf, index, k, rest) : rootOfInclusion(leaf, index - k, size - k, rest);
  return below && (index < k ? nodeHash(below, last) : nodeHash(last, below));
}

/** Both roots that a consistency path leads to, or null (RFC 6962 §2.1.2, read backwards). */
export function rootsOfConsistency(from, to, path, fromRoot, whole = true) {
  if (from === to) {
    if (whole) return path.length === 0 ? [fromRoot, fromRoot] : null;
    return path.length === 1 ? [path[0], path[0]] : null;
  }
  if (path.length === 0) return null;
  const k = split(to);
  const [rest, last] = [path.slice(0, -1), path.at(-1)];
  if (from <= k) {
    const below = rootsOfConsistency(from, k, rest, fromRoot, whole);
    return below && [below[0], nodeHash(below[1], last)];
  }
  const below = rootsOfConsistency(from - k, to - k, rest, fromRoot, false);
  return below && [nodeHash(last, below[0]), nodeHash(last, below[1])];
}

/** C2SP tlog-checkpoint, by a C2SP verifier key; null when it is not that log's. */
export function readCheckpoint(note, vkey) {
  const [name, , encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey).slice(1);
  const material = Buffer.from(encoded, 'base64');
  const id = sha256(`${name}\n`, material).subarray(0, 4);
  const blank = note.lastIndexOf('\n\n');
  const [text, lines] = [note.slice(0, blank + 1), note.slice(blank + 2)];
  for (const line of lines.split('\n')) {
    const match = /^— (\S+) (\S+)$/u.exec(line);
    const signature = match && Buffer.from(match[2], 'base64');
    if (match?.[1] !== name || !signature.subarray(0, 4).equals(id)) continue;
    if (!verify(signature.subarray(4), Buffer.from(text), material.subarray(1))) return null;
    const [origin, size, hash, end, ...more] = text.split('\n');
    return origin === name && end === '' && more.length === 0 ? { origin, size: Number(size), root: Buffer.from(hash, 'base64') } : null;
  }
  return null;
}

/** C2SP tlog-tiles: entries behind their 16-bit lengths. */
export function readBundle(bytes) {
  const entries = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16BE(at);
    if (at + 2 + length > bytes.length) throw new Error('the bundle is cut short');
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return entries;
}

function split(n) {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
