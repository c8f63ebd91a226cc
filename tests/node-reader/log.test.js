import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeId } from './lib/bech32m.js';
import { decode, encode } from './lib/cbor.js';
import { leafHash, readBundle, readCheckpoint, root, rootOfInclusion, rootsOfConsistency } from './lib/log.js';
import { readStatement, schema } from './lib/statement.js';
import { hex, vector, vectors } from './lib/vectors.js';

const log = vector('log/log.json');
const leaves = log.entries.map((e) => leafHash(hex(e)));

describe('the log', () => {
  test('its entries are dense, in time, and hold good statements', () => {
    let before = 0;
    for (const [index, bytes] of log.entries.map(hex).entries()) {
      const entry = decode(bytes);
      assert.equal(schema.problem(entry, 'entry'), null);
      assert.equal(entry.get('index'), index);
      assert.ok(entry.get('time') >= before);
      before = entry.get('time');
      readStatement(entry.get('statement'));
    }
  });

  test('its checkpoints are signed and have the roots of its leaves', () => {
    for (const [size, note] of log.checkpoints.entries()) {
      const checkpoint = readCheckpoint(note, log.vkey);
      assert.equal(checkpoint.size, size);
      assert.deepEqual(checkpoint.root, root(leaves.slice(0, size)));
      assert.equal(readCheckpoint(note.replace(`\n${size}\n`, `\n${size + 1}\n`), log.vkey), null);
    }
  });

  test('its inclusion paths lead to its roots, and from no other leaf', () => {
    for (const { index, size, path } of log.inclusion) {
      const wanted = root(leaves.slice(0, size));
      assert.deepEqual(rootOfInclusion(leaves[index], index, size, path.map(hex)), wanted);
      if (size > 1) assert.notDeepEqual(rootOfInclusion(leaves[(index + 1) % size], index, size, path.map(hex)), wanted);
    }
  });

  test('its consistency paths lead to both roots', () => {
    for (const { from, to, path } of log.consistency) {
      const [old, now] = [root(leaves.slice(0, from)), root(leaves.slice(0, to))];
      assert.deepEqual(rootsOfConsistency(from, to, path.map(hex), old), [old, now]);
    }
  });

  test('its tiles are its leaves and its bundle its entries', () => {
    assert.equal(log.tiles[`tile/0/000.p/${leaves.length}`], Buffer.concat(leaves).toString('hex'));
    assert.deepEqual(readBundle(hex(log.bundles[`tile/entries/000.p/${leaves.length}`])), log.entries.map(hex));
  });
});

test('a bundle proves that its entries are in the log and who signed them', () => {
  const { vkey, bundle } = vector('log/bundle.json');
  assert.equal(schema.problem(bundle, 'bundle'), null);
  const checkpoint = readCheckpoint(bundle.checkpoint, vkey);
  assert.equal(checkpoint.origin, bundle.origin);
  const ids = [];
  let last = -1;
  for (const { index, entry, path } of bundle.entries) {
    const bytes = Buffer.from(entry, 'base64');
    const decoded = decode(bytes);
    assert.equal(decoded.get('index'), index);
    assert.ok(index > last);
    last = index;
    assert.deepEqual(rootOfInclusion(leafHash(bytes), index, checkpoint.size, path.map(hex)), checkpoint.root);
    const { payload, id } = readStatement(decoded.get('statement'));
    assert.equal(payload.get('ledger'), bundle.origin);
    if (payload.get('kind') === 'agreement') ids.push(encodeId('agr', id));
  }
  assert.ok(ids.includes(bundle.agreement));
});

test('what is refused for what is recorded can be read, and so can what is recorded', () => {
  const recorded = vector('refusals/recorded/log.json');
  for (const [index, bytes] of recorded.entries.map(hex).entries()) {
    const entry = decode(bytes);
    assert.equal(entry.get('index'), index);
    assert.ok(entry.get('time') <= recorded.now);
    readStatement(entry.get('statement'));
  }
  const standing = vectors('refusals', 'standing-');
  assert.ok(standing.length > 20);
  for (const [file, { statement }] of standing) assert.equal(readStatement(hex(statement)).payload.get('kind'), 'agreement', file);
});

test('the proofs of other implementations are answered as they say', () => {
  const hash = (text) => Buffer.from(text ?? '', 'base64');
  for (const v of vector('rfc6962/inclusion.json')) {
    const found = v.leafIdx < v.treeSize && hash(v.leafHash).length === 32 ? rootOfInclusion(hash(v.leafHash), v.leafIdx, v.treeSize, v.proof.map(hash)) : null;
    assert.equal(Boolean(found?.equals(hash(v.root))), !v.wantErr, v.name);
  }
  for (const v of vector('rfc6962/consistency.json')) {
    const found = v.size1 > 0 && v.size1 <= v.size2 ? rootsOfConsistency(v.size1, v.size2, v.proof.map(hash), hash(v.root1)) : null;
    assert.equal(Boolean(found?.[0].equals(hash(v.root1)) && found[1].equals(hash(v.root2))), !v.wantErr, v.name);
  }
});

test('an entry that is written again is the same', () => {
  for (const entry of log.entries) assert.equal(encode(decode(hex(entry))).toString('hex'), entry);
});
