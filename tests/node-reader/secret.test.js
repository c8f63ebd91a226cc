import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { FormatError } from './lib/cbor.js';
import { openSecret, sealingKey, sealingKeyOfSeed } from './lib/secret.js';
import { hex, publicKey, vector } from './lib/vectors.js';

const seed = (name) => createHash('sha256').update(name).digest();

describe('secrets', () => {
  for (const v of vector('secrets.json')) {
    test(v.name, () => {
      const open = () => openSecret(hex(v.sealed), v.ledger, hex(v.user), seed(v.node)).toString('hex');
      if (v.value === null) assert.throws(open, FormatError);
      else assert.equal(open(), v.value);
    });
  }

  test('both halves of a node\'s key lead to one key', () => {
    for (const name of ['node', 'node-2', 'alice', 'farmer']) assert.deepEqual(sealingKey(hex(publicKey(name))), sealingKeyOfSeed(seed(name)));
  });
});
