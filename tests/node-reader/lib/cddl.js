// The part of CDDL (RFC 8610) that contracts/schema is written in: rules, maps, arrays, occurrences, choices, ranges, tags and the
// controls .size, .regexp and .cbor. What it cannot read is an error, so the schema cannot say more than is checked.
import { readFileSync, readdirSync } from 'node:fs';
import { decode } from './cbor.js';

const TOKEN = /\s+|;[^\n]*|(?<string>"(?:[^"\\]|\\.)*")|(?<range>-?\d+\.\.-?\d+)|(?<occur>\d+\*\d+)|(?<number>-?\d+)|(?<tag>#6\.\d+)|(?<arrow>=>)|(?<name>[A-Za-z][A-Za-z0-9-]*)|(?<control>\.[a-z]+)|(?<mark>[=/:,?{}[\]()])/gy;

export class Schema {
  #rules = new Map();

  static load(folder) {
    const schema = new Schema();
    for (const file of readdirSync(folder).filter((f) => f.endsWith('.cddl')).sort()) schema.add(readFileSync(new URL(file, folder), 'utf8'));
    for (const rule of schema.#rules.values()) schema.#resolve(rule);
    return schema;
  }

  /** The names that a rule is a choice of. */
  choices(name) { return this.#rules.get(name).choice.map((c) => c.name); }

  add(text) {
    const tokens = tokenize(text);
    while (tokens.length) {
      const name = take(tokens, 'name');
      take(tokens, 'mark', '=');
      if (this.#rules.has(name)) throw new Error(`${name} is defined twice`);
      this.#rules.set(name, type(tokens));
    }
  }

  /** Null when the value is of the rule, else where and why not. */
  problem(value, name) { return this.#check(value, { name }, name); }

  #resolve(node) {
    if (node?.name && !BUILT_IN[node.name] && !this.#rules.has(node.name)) throw new Error(`${node.name} is not defined`);
    for (const child of Object.values(node ?? {})) if (child && typeof child === 'object') this.#resolve(child);
  }

  #check(value, node, at) {
    if (node.name) return BUILT_IN[node.name] ? (BUILT_IN[node.name](value) ? null : `${at} is no ${node.name}`) : this.#check(value, this.#rules.get(node.name), at);
    if (node.choice) return node.choice.every((c) => this.#check(value, c, at)) ? `${at} is none of ${node.choice.length} choices` : null;
    if ('literal' in node) return value === node.literal ? null : `${at} is not ${node.literal}`;
    if (node.range) return isInteger(value) && BigInt(value) >= node.range[0] && BigInt(value) <= node.range[1] ? null : `${at} is not in ${node.range[0]}..${node.range[1]}`;
    if (node.tag) return value?.tag === node.tag ? this.#check(value.value, node.content, at) : `${at} has not the tag ${node.tag}`;
    if (node.control) return this.#check(value, node.of, at) ?? this.#control(value, node, at);
    if (node.map) return this.#map(value, node.map, at);
    return this.#array(value, node.array, at);
  }

  #control(value, { control, argument }, at) {
    if (control === '.regexp') return new RegExp(`^(?:${argument.literal})$`, 'u').test(value) ? null : `${at} has not the form ${argument.literal}`;
    if (control === '.cbor') {
      try {
        return this.#check(decode(value), argument, at);
      } catch (e) {
        return `${at}: ${e.message}`;
      }
    }
    const size = BigInt(typeof value === 'string' ? Buffer.byteLength(value) : value.length);
    const [low, high] = argument.range ?? [BigInt(argument.literal), BigInt(argument.literal)];
    return size >= low && size <= high ? null : `${at} has ${size} bytes`;
  }

  #map(value, group, at) {
    const entries = value instanceof Map ? [...value] : isObject(value) ? Object.entries(value) : null;
    if (!entries) return `${at} is no map`;
    const rest = new Map(entries);
    for (const { key, keyType, item, low, high } of group) {
      if (keyType) {
        const matching = [...rest].filter(([k]) => !this.#check(k, keyType, at));
        if (matching.length < low || matching.length > high) return `${at} has ${matching.length} fields`;
        for (const [k, v] of matching) {
          const problem = this.#check(v, item, `${at}.${k}`);
          if (problem) return problem;
          rest.delete(k);
        }
      } else if (rest.has(key)) {
        const problem = this.#check(rest.get(key), item, `${at}.${key}`);
        if (problem) return problem;
        rest.delete(key);
      } else if (low > 0) {
        return `${at} has no ${key}`;
      }
    }
    return rest.size ? `${at} has an unknown field ${[...rest.keys()][0]}` : null;
  }

  #array(value, group, at) {
    if (!Array.isArray(value)) return `${at} is no array`;
    let next = 0;
    for (const { item, low, high } of group) {
      let count = 0;
      for (; count < high && next < value.length; count++, next++) {
        const problem = this.#check(value[next], item, `${at}[${next}]`);
        if (problem) return problem;
      }
      if (count < low) return `${at} has ${count} items`;
    }
    return next < value.length ? `${at} has ${value.length} items` : null;
  }
}

const BUILT_IN = {
  bstr: (v) => v instanceof Uint8Array,
  tstr: (v) => typeof v === 'string',
  null: (v) => v === null,
};

const isInteger = (v) => typeof v === 'bigint' || Number.isSafeInteger(v);
const isObject = (v) => v !== null && typeof v === 'object' && Object.getPrototypeOf(v) === Object.prototype;

function tokenize(text) {
  const tokens = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`not CDDL: ${text.slice(at, at + 40)}`);
    const kind = Object.keys(match.groups).find((g) => match.groups[g] !== undefined);
    if (kind) tokens.push({ kind, text: match[0] });
  }
  return tokens;
}

const is = (tokens, kind, text) => tokens[0]?.kind === kind && (text === undefined || tokens[0].text === text);

function take(tokens, kind, text) {
  if (!is(tokens, kind, text)) throw new Error(`${text ?? kind} is wanted, ${tokens[0]?.text} is there`);
  return tokens.shift().text;
}

function type(tokens) {
  const choice = [type1(tokens)];
  while (is(tokens, 'mark', '/')) {
    tokens.shift();
    choice.push(type1(tokens));
  }
  return choice.length === 1 ? choice[0] : { choice };
}

function type1(tokens) {
  const of = primary(tokens);
  if (!is(tokens, 'control')) return of;
  const control = tokens.shift().text;
  if (!['.size', '.regexp', '.cbor'].includes(control)) throw new Error(`${control} is not used here`);
  return { control, of, argument: primary(tokens) };
}

function primary(tokens) {
  const { kind, text } = tokens.shift();
  switch (kind) {
    case 'string': return { literal: JSON.parse(text) };
    case 'number': return { literal: Number(text) };
    case 'range': return { range: text.split('..').map(BigInt) };
    case 'name': return { name: text };
    case 'tag': {
      take(tokens, 'mark', '(');
      const content = type(tokens);
      take(tokens, 'mark', ')');
      return { tag: Number(text.slice(3)), content };
    }
    default: break;
  }
  if (text === '(') {
    const inner = type(tokens);
    take(tokens, 'mark', ')');
    return inner;
  }
  if (text === '{') return { map: group(tokens, '}') };
  if (text === '[') return { array: group(tokens, ']') };
  throw new Error(`${text} is not expected`);
}

function group(tokens, end) {
  const entries = [];
  while (!is(tokens, 'mark', end)) {
    let [low, high] = [1, 1];
    if (is(tokens, 'occur')) [low, high] = tokens.shift().text.split('*').map(Number);
    if (is(tokens, 'mark', '?')) {
      tokens.shift();
      low = 0;
    }
    const first = type(tokens);
    if (is(tokens, 'mark', ':')) {
      tokens.shift();
      entries.push({ key: first.literal, item: type(tokens), low, high });
    } else if (is(tokens, 'arrow')) {
      tokens.shift();
      entries.push({ keyType: first, item: type(tokens), low, high });
    } else {
      entries.push({ item: first, low, high });
    }
    if (is(tokens, 'mark', ',')) tokens.shift();
  }
  tokens.shift();
  return entries;
}
