import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeId } from './lib/bech32m.js';
import { FormatError, toJson } from './lib/cbor.js';
import { SignatureError, kinds, readPayload, readStatement } from './lib/statement.js';
import { hex, publicKey, vector, vectors } from './lib/vectors.js';

for (const [file, list] of vectors('statements')) {
  describe(file, () => {
    for (const v of list.filter((x) => x.expect === 'ok')) {
      test(`${v.name} is read, verified and written back`, () => {
        const { payload, keys, id } = readStatement(hex(v.hex));
        assert.deepEqual(toJson(payload), v.payload);
        assert.equal(encodeId('st', id), v.id);
        assert.deepEqual(keys.map((k) => Buffer.from(k).toString('hex')), v.signers.map(publicKey).sort());
      });
    }
    test('every bad statement is refused', () => {
      for (const v of list.filter((x) => x.expect !== 'ok')) {
        assert.throws(() => readStatement(hex(v.hex)), v.expect === 'bad-signature' ? SignatureError : FormatError, v.name);
      }
    });
  });
}

test('every kind of the schema has a file of vectors, and nothing else has', () => {
  const files = vectors('statements').map(([f]) => f.replace('.json', '')).sort();
  assert.deepEqual(files, [...kinds, 'envelope', 'payload'].sort());
});

test('the schema knows whatever the writers can write', () => {
  const read = vector('payloads/any.json').map((p) => readPayload(hex(p)).get('kind'));
  assert.deepEqual([...new Set(read)].sort(), [...kinds].sort());
});
