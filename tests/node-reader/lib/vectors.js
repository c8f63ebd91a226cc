import { readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('../../vectors/', import.meta.url);

export const vector = (name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));

export const vectors = (folder) => readdirSync(new URL(`${folder}/`, FOLDER)).sort().map((f) => [f, vector(`${folder}/${f}`)]);

export const hex = (text) => Buffer.from(text, 'hex');
