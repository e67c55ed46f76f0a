/** @file scrypt (RFC 7914), which browsers don't have, for the passphrases of backups. */

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {{n: number, r: number, p: number}} Cost */

const ROUNDS_AT_ONCE = 4096;

/**
 * Derive 32 bytes from a passphrase. The page answers while it does so.
 *
 * @param {Bytes} passphrase not empty
 * @param {Bytes} salt
 * @param {Cost} cost
 * @returns {Promise<Bytes>}
 */
export async function scrypt(passphrase, salt, { n, r, p }) {
  const mixed = await pbkdf2(passphrase, salt, 128 * r * p);
  for (let block = 0; block < p; block++) {
    await mixInMemory(new Int32Array(mixed.buffer, 128 * r * block, 32 * r), n, r);
  }
  return pbkdf2(passphrase, mixed, 32);
}

/**
 * @param {Bytes} passphrase
 * @param {Bytes} salt
 * @param {number} length
 * @returns {Promise<Bytes>}
 */
async function pbkdf2(passphrase, salt, length) {
  const key = await crypto.subtle.importKey("raw", passphrase, "PBKDF2", false, ["deriveBits"]);
  const options = { name: "PBKDF2", hash: "SHA-256", salt, iterations: 1 };
  return new Uint8Array(await crypto.subtle.deriveBits(options, key, 8 * length));
}

/**
 * @param {Int32Array} block
 * @param {number} n
 * @param {number} r
 */
async function mixInMemory(block, n, r) {
  const words = 32 * r;
  const memory = new Int32Array(words * n);
  const other = new Int32Array(words);
  for (let round = 0; round < n; round++) {
    memory.set(block, round * words);
    mixBlock(block, other, r);
    if (round % ROUNDS_AT_ONCE === 0) await pause();
  }
  for (let round = 0; round < n; round++) {
    const start = (block[words - 16] & (n - 1)) * words;
    for (let word = 0; word < words; word++) block[word] ^= memory[start + word];
    mixBlock(block, other, r);
    if (round % ROUNDS_AT_ONCE === 0) await pause();
  }
}

/** Let the page draw, and take what the person does. */
function pause() {
  return new Promise((resolve) => setTimeout(resolve));
}

/**
 * @param {Int32Array} block
 * @param {Int32Array} other memory to work with
 * @param {number} r
 */
function mixBlock(block, other, r) {
  const last = block.slice(16 * (2 * r - 1));
  for (let index = 0; index < 2 * r; index++) {
    for (let word = 0; word < 16; word++) last[word] ^= block[16 * index + word];
    salsa(last);
    // Even ones first, then odd ones.
    other.set(last, 16 * ((index >> 1) + (index % 2) * r));
  }
  block.set(other);
}

/**
 * Salsa20/8 in place. Its words are local numbers, which makes it five times as fast as an array.
 *
 * @param {Int32Array} b
 */
function salsa(b) {
  let x0 = b[0] | 0;
  let x1 = b[1] | 0;
  let x2 = b[2] | 0;
  let x3 = b[3] | 0;
  let x4 = b[4] | 0;
  let x5 = b[5] | 0;
  let x6 = b[6] | 0;
  let x7 = b[7] | 0;
  let x8 = b[8] | 0;
  let x9 = b[9] | 0;
  let x10 = b[10] | 0;
  let x11 = b[11] | 0;
  let x12 = b[12] | 0;
  let x13 = b[13] | 0;
  let x14 = b[14] | 0;
  let x15 = b[15] | 0;
  let t = 0;
  for (let round = 0; round < 4; round++) {
    t = (x0 + x12) | 0;
    x4 ^= (t << 7) | (t >>> 25);
    t = (x4 + x0) | 0;
    x8 ^= (t << 9) | (t >>> 23);
    t = (x8 + x4) | 0;
    x12 ^= (t << 13) | (t >>> 19);
    t = (x12 + x8) | 0;
    x0 ^= (t << 18) | (t >>> 14);
    t = (x5 + x1) | 0;
    x9 ^= (t << 7) | (t >>> 25);
    t = (x9 + x5) | 0;
    x13 ^= (t << 9) | (t >>> 23);
    t = (x13 + x9) | 0;
    x1 ^= (t << 13) | (t >>> 19);
    t = (x1 + x13) | 0;
    x5 ^= (t << 18) | (t >>> 14);
    t = (x10 + x6) | 0;
    x14 ^= (t << 7) | (t >>> 25);
    t = (x14 + x10) | 0;
    x2 ^= (t << 9) | (t >>> 23);
    t = (x2 + x14) | 0;
    x6 ^= (t << 13) | (t >>> 19);
    t = (x6 + x2) | 0;
    x10 ^= (t << 18) | (t >>> 14);
    t = (x15 + x11) | 0;
    x3 ^= (t << 7) | (t >>> 25);
    t = (x3 + x15) | 0;
    x7 ^= (t << 9) | (t >>> 23);
    t = (x7 + x3) | 0;
    x11 ^= (t << 13) | (t >>> 19);
    t = (x11 + x7) | 0;
    x15 ^= (t << 18) | (t >>> 14);
    t = (x0 + x3) | 0;
    x1 ^= (t << 7) | (t >>> 25);
    t = (x1 + x0) | 0;
    x2 ^= (t << 9) | (t >>> 23);
    t = (x2 + x1) | 0;
    x3 ^= (t << 13) | (t >>> 19);
    t = (x3 + x2) | 0;
    x0 ^= (t << 18) | (t >>> 14);
    t = (x5 + x4) | 0;
    x6 ^= (t << 7) | (t >>> 25);
    t = (x6 + x5) | 0;
    x7 ^= (t << 9) | (t >>> 23);
    t = (x7 + x6) | 0;
    x4 ^= (t << 13) | (t >>> 19);
    t = (x4 + x7) | 0;
    x5 ^= (t << 18) | (t >>> 14);
    t = (x10 + x9) | 0;
    x11 ^= (t << 7) | (t >>> 25);
    t = (x11 + x10) | 0;
    x8 ^= (t << 9) | (t >>> 23);
    t = (x8 + x11) | 0;
    x9 ^= (t << 13) | (t >>> 19);
    t = (x9 + x8) | 0;
    x10 ^= (t << 18) | (t >>> 14);
    t = (x15 + x14) | 0;
    x12 ^= (t << 7) | (t >>> 25);
    t = (x12 + x15) | 0;
    x13 ^= (t << 9) | (t >>> 23);
    t = (x13 + x12) | 0;
    x14 ^= (t << 13) | (t >>> 19);
    t = (x14 + x13) | 0;
    x15 ^= (t << 18) | (t >>> 14);
  }
  b[0] += x0;
  b[1] += x1;
  b[2] += x2;
  b[3] += x3;
  b[4] += x4;
  b[5] += x5;
  b[6] += x6;
  b[7] += x7;
  b[8] += x8;
  b[9] += x9;
  b[10] += x10;
  b[11] += x11;
  b[12] += x12;
  b[13] += x13;
  b[14] += x14;
  b[15] += x15;
}
