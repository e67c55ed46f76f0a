/**
 * @file `encryptedSelf`: the encrypted members of a record, opened wherever one stands
 * (docs/spec/cryptography.md §6, docs/spec/today.md §6).
 */

import { aesDecrypt, fromBase64 } from "./bytes.js";
import { isObject, pointer } from "./shapes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./shapes.js").Json} Json */

const ENCRYPTED_SELF = "encryptedSelf";
const NEVER_INSIDE = new Set([
  "id", "rev", "_type", "publicKey", "publicKeysForOaepWithSha256", "aesExchangeKeys", "hcPartyKeys",
  "transferKeys", "privateKeyShamirPartitions", "delegations", "encryptionKeys",
  "cryptedForeignKeys", "secretForeignKeys", "securityMetadata",
]);

/**
 * @typedef {object} Opened
 * @property {Json} clear the record, with its encrypted members in clear
 * @property {Set<string>} paths where the encrypted members stand, as JSON Pointers
 */

/** Something in the record is encrypted with another key. */
class WrongKeyError extends Error {}

/**
 * @param {unknown} value
 * @returns {boolean} whether something in it is encrypted
 */
export function hasEncrypted(value) {
  if (Array.isArray(value)) return value.some(hasEncrypted);
  if (!isObject(value)) return false;
  return Boolean(value[ENCRYPTED_SELF]) || Object.values(value).some(hasEncrypted);
}

/**
 * Decrypt a record.
 *
 * @param {Json} record
 * @param {Bytes} key
 * @returns {Promise<Opened | null>} null where the key is another one
 */
export async function openContent(record, key) {
  /** @type {Set<string>} */
  const paths = new Set();
  try {
    return { clear: /** @type {Json} */ (await opened(record, key, "", paths)), paths };
  } catch (error) {
    if (error instanceof WrongKeyError || error instanceof RangeError) return null;
    throw error;
  }
}

/**
 * @param {unknown} value
 * @param {Bytes} key
 * @param {string} path
 * @param {Set<string>} paths
 * @returns {Promise<unknown>}
 */
async function opened(value, key, path, paths) {
  if (Array.isArray(value)) {
    return Promise.all(value.map((item, index) => opened(item, key, pointer(path, index), paths)));
  }
  if (!isObject(value)) return value;
  const hidden = value[ENCRYPTED_SELF] ? await hiddenIn(value[ENCRYPTED_SELF], key) : {};
  /** @type {[string, unknown][]} */
  const members = [];
  for (const [name, inner] of Object.entries(value)) {
    if (name === ENCRYPTED_SELF || Object.hasOwn(hidden, name)) continue;
    members.push([name, await opened(inner, key, pointer(path, name), paths)]);
  }
  for (const [name, inner] of Object.entries(hidden)) {
    if (path === "" && NEVER_INSIDE.has(name)) continue;
    paths.add(pointer(path, name));
    members.push([name, inner]);
  }
  return Object.fromEntries(members);
}

/**
 * @param {unknown} ciphertext
 * @param {Bytes} key
 * @returns {Promise<Json>}
 */
async function hiddenIn(ciphertext, key) {
  const plaintext = await aesDecrypt(key, fromBase64(ciphertext));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(plaintext ?? new Uint8Array());
    const members = JSON.parse(text.replace(/\0+$/, ""));
    if (isObject(members)) return members;
  } catch {
    // Another key passes the padding once in 256 times: the content tells.
  }
  throw new WrongKeyError();
}
