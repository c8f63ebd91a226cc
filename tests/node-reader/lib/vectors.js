import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('../../vectors/', import.meta.url);

export const vector = (name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));

export const vectors = (folder, prefix = '') => readdirSync(new URL(`${folder}/`, FOLDER)).filter((f) => f.startsWith(prefix)).sort().map((f) => [f, vector(`${folder}/${f}`)]);

export const hex = (text) => Buffer.from(text, 'hex');

/** A key's seed is the SHA-256 of its name; Node's own implementation derives the key, here as hex. */
export function publicKey(name) {
  const seed = createHash('sha256').update(name).digest();
  const key = createPrivateKey({ key: Buffer.concat([hex('302e020100300506032b657004220420'), seed]), format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
}
