import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeId } from './lib/bech32m.js';
import { FormatError, decode, toJson } from './lib/cbor.js';
import { schema, sha256 } from './lib/statement.js';
import { hex, vector, vectors } from './lib/vectors.js';

const MAXIMUM_SIZE = 1 << 20;

function readManifest(bytes) {
  if (bytes.length > MAXIMUM_SIZE) throw new FormatError('too large');
  const manifest = decode(bytes);
  const problem = schema.problem(manifest, 'manifest');
  if (problem) throw new FormatError(problem);
  return manifest;
}

const id = (bytes) => encodeId('fl', sha256(Buffer.from('FLM1'), bytes));

describe('manifests of flists', () => {
  const list = vector('flists/manifests.json');

  for (const v of list.filter((x) => x.id)) {
    test(`${v.name} is read by the schema`, () => {
      assert.deepEqual(toJson(readManifest(hex(v.hex))), v.manifest);
      assert.equal(id(hex(v.hex)), v.id);
    });
  }

  test('what is no manifest is refused', () => {
    const bad = list.filter((x) => !x.id);
    assert.ok(bad.length > 50);
    for (const v of bad) assert.throws(() => readManifest(hex(v.hex)), FormatError, v.name);
  });

  for (const [file, v] of vectors('flists').filter(([f]) => f.startsWith('tree-'))) {
    test(`${file}: its manifest is read by the schema and says what the tree has`, () => {
      const manifest = readManifest(hex(v.manifest));
      const types = v.tree.map((e) => e.type ?? v.tree.find((x) => x.path === e.link).type);
      const count = (type) => types.filter((t) => t === type).length;
      assert.equal(id(hex(v.manifest)), v.id);
      assert.equal(Buffer.from(manifest.get('root')).toString('hex'), v.root);
      assert.deepEqual(['files', 'directories', 'links', 'others'].map((f) => Number(manifest.get(f))),
        [count('file'), count('directory'), count('symlink'), types.length - count('file') - count('directory') - count('symlink')]);
    });
  }
});
