import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FormatError, toJson } from './lib/cbor.js';
import { openLogAnswer, readLogRequest } from './lib/sealed.js';
import { SignatureError } from './lib/statement.js';
import { hex, publicKey, vector } from './lib/vectors.js';

const [requests, answers] = ['logs/requests.json', 'logs/answers.json'].map(vector);
const errorOf = (v) => (v.expect === 'bad-signature' ? SignatureError : FormatError);

describe('requests for logs', () => {
  test('good ones are read and verified', () => {
    for (const v of requests.filter((x) => x.expect === 'ok')) {
      const { request, keys, id } = readLogRequest(hex(v.hex));
      if (!v.request) continue;
      assert.deepEqual(toJson(request), v.request);
      assert.equal(id.toString('hex'), v.id);
      assert.deepEqual(keys.map((k) => Buffer.from(k).toString('hex')), v.signers.map(publicKey).sort());
    }
  });

  test('every bad one is refused', () => {
    for (const v of requests.filter((x) => x.expect !== 'ok')) assert.throws(() => readLogRequest(hex(v.hex)), errorOf(v), v.name);
  });
});

describe('answers', () => {
  const [yes, no] = answers;
  const open = (v) => openLogAnswer(hex(v.hex), hex(yes.request), hex(yes.to), hex(publicKey('node')));

  test('the piece opens for the key that asked, and for no other', () => {
    const { piece } = open(yes);
    assert.equal(Buffer.from(piece.get('text')).toString(), yes.text);
    assert.deepEqual([Buffer.from(piece.get('next')).toString('hex'), piece.get('more'), piece.get('gap')], [yes.next, yes.more, yes.gap]);
    assert.throws(() => openLogAnswer(hex(yes.hex), hex(yes.request), Buffer.alloc(32, 1), hex(publicKey('node'))), FormatError);
  });

  test('a no says why', () => assert.equal(open(no).code, no.code));

  test('every bad one is refused', () => {
    for (const v of answers.filter((x) => x.expect !== 'ok')) assert.throws(() => open(v), errorOf(v), v.name);
  });
});
