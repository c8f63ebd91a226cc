const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** BIP 350 over whole bytes. */
export function encodeId(prefix, bytes) {
  const bits = [...bytes].map((b) => b.toString(2).padStart(8, '0')).join('');
  const words = bits.match(/.{1,5}/g).map((w) => parseInt(w.padEnd(5, '0'), 2));
  const letters = [...prefix].map((c) => c.charCodeAt(0));
  const sum = polymod([...letters.map((c) => c >> 5), 0, ...letters.map((c) => c & 31), ...words, 0, 0, 0, 0, 0, 0]) ^ 0x2bc830a3;
  const check = [25, 20, 15, 10, 5, 0].map((shift) => (sum >>> shift) & 31);
  return `${prefix}1${[...words, ...check].map((w) => ALPHABET[w]).join('')}`;
}

function polymod(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = (((sum & 0x1ffffff) << 5) ^ value) >>> 0;
    GENERATORS.forEach((g, i) => { if ((top >>> i) & 1) sum = (sum ^ g) >>> 0; });
  }
  return sum;
}
