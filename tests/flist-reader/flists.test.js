import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const vectors = new URL("../vectors/flists/", import.meta.url);
const types = { fifo: 1, characterDevice: 2, directory: 4, blockDevice: 6, file: 8, symlink: 10 };

const sha = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const raw = (text) => Buffer.from(text, "latin1");
const number = (bytes, value) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
  return buffer.subarray(0, bytes);
};

// The tree of a vector: names sorted, hard links sharing one node, groups numbered breadth first.
function grow(entries) {
  const nodes = new Map();
  for (const e of entries) {
    const node = "link" in e ? nodes.get(e.link) : { ...e, names: 0, group: 0, children: [] };
    node.names++;
    nodes.set(e.path, node);
    if (e.path === "") continue;
    const slash = e.path.lastIndexOf("/");
    nodes.get(e.path.slice(0, Math.max(slash, 0))).children.push({ name: raw(e.path.slice(slash + 1)), node });
  }
  const root = nodes.get("");
  const order = [root];
  const inodes = [{ name: Buffer.alloc(0), node: root }];
  let groups = 0;
  for (const directory of order) {
    directory.children.sort((a, b) => Buffer.compare(a.name, b.name));
    for (const child of directory.children) {
      inodes.push(child);
      if (child.node.type === "directory") order.push(child.node);
      else if (child.node.names > 1 && child.node.group === 0) child.node.group = ++groups;
    }
  }
  return { root, inodes };
}

function xattrs(node) {
  const list = Object.entries(node.xattrs ?? {}).map(([n, v]) => [raw(n), raw(v)]).sort((a, b) => Buffer.compare(a[0], b[0]));
  return Buffer.concat([number(2, list.length), ...list.flatMap(([n, v]) => [number(2, n.length), number(4, v.length), n, v])]);
}

const attributes = (node) => Buffer.concat([number(2, parseInt(node.mode, 8)), number(4, node.uid), number(4, node.gid), number(8, node.mtime)]);
const content = (node) => (node.repeat === undefined ? Buffer.alloc(0) : Buffer.concat(Array(node.times).fill(raw(node.repeat))));

function chunks(bytes) {
  const hashes = [];
  for (let at = 0; at < bytes.length; at += 262144) hashes.push(sha(bytes.subarray(at, at + 262144)));
  return hashes;
}

function payload(node) {
  if (node.type === "file") return sha(raw("FLB1"), number(8, content(node).length), ...chunks(content(node)));
  if (node.type === "directory") return directoryId(node);
  return node.type === "symlink" ? raw(node.target) : Buffer.alloc(0);
}

function directoryId(directory) {
  const entries = directory.children.map(({ name, node }) => {
    const value = node.type === "file" ? content(node).length : (node.rdev ?? 0);
    const body = payload(node);
    return Buffer.concat([
      number(1, types[node.type]), attributes(node), number(4, node.group), number(8, value),
      number(2, name.length), name, number(2, body.length), body, xattrs(node),
    ]);
  });
  return sha(raw("FLD1"), number(4, entries.length), ...entries);
}

const rootOf = (root) => sha(raw("FLR1"), attributes(root), xattrs(root), directoryId(root)).toString("hex");

for (const file of readdirSync(vectors).filter((f) => f.startsWith("tree-"))) {
  const vector = JSON.parse(readFileSync(new URL(file, vectors), "utf8"));
  const { root, inodes } = grow(vector.tree);
  const meta = Buffer.from(vector.meta, "hex");

  test(`${file}: the tree has this root`, () => {
    assert.equal(rootOf(root), vector.root);
    assert.equal(meta.subarray(152, 184).toString("hex"), vector.root);
  });

  test(`${file}: the meta file holds the tree`, () => {
    assert.equal(meta.subarray(0, 8).toString("latin1"), "FLISTM1\0");
    assert.equal(meta.readBigUInt64LE(16), BigInt(meta.length));
    assert.equal(meta.readUInt32LE(24), inodes.length);
    const section = (n) => meta.subarray(Number(meta.readBigUInt64LE(40 + 16 * n)), Number(meta.readBigUInt64LE(40 + 16 * n) + meta.readBigUInt64LE(48 + 16 * n)));
    const [table, references, hashes, directories, names, targets, sets] = [0, 1, 2, 3, 4, 5, 6].map(section);
    inodes.forEach(({ name, node }, n) => {
      const i = table.subarray(64 * n, 64 * n + 64);
      assert.deepEqual(names.subarray(i.readUInt32LE(4), i.readUInt32LE(4) + i[8]), name);
      assert.equal(i[9], types[node.type]);
      assert.deepEqual(Buffer.concat([i.subarray(10, 20), i.subarray(24, 32)]), attributes(node));
      const [first, count] = [i.readUInt32LE(40), i.readUInt32LE(44)];
      if (node.type === "file")
        assert.deepEqual(Array.from({ length: count }, (_, k) => references.readUInt32LE(4 * (first + k))).map((r) => hashes.subarray(32 * r, 32 * r + 32)), chunks(content(node)));
      if (node.type === "directory") {
        assert.deepEqual(directories.subarray(32 * i.readUInt32LE(56), 32 * i.readUInt32LE(56) + 32), directoryId(node));
        node.children.forEach((child, k) => assert.equal(inodes[first + k], child));
        assert.equal(count, node.children.length);
      }
      if (node.type === "symlink") assert.deepEqual(targets.subarray(first, first + count), raw(node.target));
      assert.equal(i.readUInt32LE(48), node.group);
      assert.equal(i.readUInt32LE(52), node.type === "directory" ? 2 + node.children.filter((c) => c.node.type === "directory").length : node.names);
      const set = xattrs(node);
      const at = i.readUInt32LE(20);
      assert.deepEqual(at === 0 ? Buffer.alloc(2) : sets.subarray(at - 1, at - 1 + set.length), set);
    });
  });

  test(`${file}: the id is the hash of the manifest, which names the root`, () => {
    const manifest = Buffer.from(vector.manifest, "hex");
    assert.ok(manifest.includes(Buffer.concat([raw("droot\x58\x20"), Buffer.from(vector.root, "hex")])));
    assert.deepEqual(bech32mData(vector.id, "fl"), sha(raw("FLM1"), manifest));
  });
}

// BIP 350: five bits a letter, the last six are the check sum.
function bech32mData(text, prefix) {
  assert.ok(text.startsWith(prefix + "1"));
  const values = [...text.slice(prefix.length + 1)].map((c) => "qpzry9x8gf2tvdw0s3jn54khce6mua7l".indexOf(c));
  const expanded = [...prefix].map((c) => c.charCodeAt(0) >> 5).concat(0, [...prefix].map((c) => c.charCodeAt(0) & 31), values);
  const check = expanded.reduce((sum, v) => {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ v;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((g, i) => { if ((top >>> i) & 1) sum ^= g; });
    return sum;
  }, 1);
  assert.equal(check, 0x2bc830a3);
  let [bits, held, bytes] = [0, 0, []];
  for (const v of values.slice(0, -6)) {
    held = (held << 5) | v;
    bits += 5;
    if (bits >= 8) bytes.push((held >> (bits -= 8)) & 255);
    held &= (1 << bits) - 1;
  }
  return Buffer.from(bytes);
}
