import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verify } from './lib/statement.js';
import { hex, vector } from './lib/vectors.js';

test('Wycheproof is answered exactly', () => {
  for (const v of vector('ed25519/wycheproof.json')) assert.equal(verify(hex(v.sig), hex(v.msg), hex(v.key)), v.result === 'valid', `${v.id} ${v.comment}`);
});
