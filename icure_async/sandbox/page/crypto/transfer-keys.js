/**
 * @file Private keys that another private key of the same data owner opens: `transferKeys`
 * (docs/spec/cryptography.md §3.4, docs/spec/today.md §10).
 */

import { aesDecrypt, fromHex } from "./bytes.js";
import { exchangeKeys } from "./legacy.js";
import { privateKeyFrom } from "./private-key.js";
import { asObject } from "./shapes.js";
import { openedBy } from "./today.js";

/** @typedef {import("./private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./shapes.js").Json} Json */
/** @typedef {import("./source.js").Documents} Documents */

/**
 * Yield a private key, and then those that it leads to.
 *
 * @param {PrivateKey} first
 * @param {Iterable<string>} owners data owners whose it may be
 * @param {Documents} documents
 * @returns {AsyncGenerator<PrivateKey>}
 */
export async function* withTransferred(first, owners, documents) {
  const keys = [first, ...first.others];
  const seen = new Set(keys.map(({ fingerprint }) => fingerprint));
  for (const key of keys) {
    yield key;
    for (const id of new Set(owners)) {
      const owner = await documents.owner(id);
      for (const ciphertext of transfersFrom(owner, key, seen)) {
        const found = await opened(ciphertext, owner, key, documents);
        if (found === null || seen.has(found.fingerprint)) continue;
        seen.add(found.fingerprint);
        keys.push(found);
      }
    }
  }
}

/**
 * @param {Json | null} owner
 * @param {PrivateKey} key
 * @param {Set<string>} seen
 * @returns {unknown[]}
 */
function transfersFrom(owner, key, seen) {
  return Object.entries(asObject(owner?.transferKeys))
    .filter(([source]) => source.slice(-32).toLowerCase() === key.fingerprint)
    .flatMap(([, targets]) => Object.entries(asObject(targets)))
    .filter(([target]) => !seen.has(target.slice(-32).toLowerCase()))
    .map(([, ciphertext]) => ciphertext);
}

/**
 * @param {unknown} ciphertext
 * @param {Json | null} owner
 * @param {PrivateKey} key
 * @param {Documents} documents
 * @returns {Promise<PrivateKey | null>}
 */
async function opened(ciphertext, owner, key, documents) {
  for await (const exchangeKey of keysToOneself(owner, key, documents)) {
    const pkcs8 = await aesDecrypt(exchangeKey, fromHex(ciphertext));
    const found = pkcs8 === null ? null : await privateKeyFrom(pkcs8, key.ownerId);
    if (found !== null) return found;
  }
  return null;
}

/**
 * @param {Json | null} owner
 * @param {PrivateKey} key
 * @param {Documents} documents
 */
async function* keysToOneself(owner, key, documents) {
  const id = String(owner?.id);
  yield* exchangeKeys(owner, id, key);
  for (const exchangeData of await documents.all("exchangedata")) {
    if (exchangeData.delegator !== id || exchangeData.delegate !== id) continue;
    const exchangeKey = await openedBy(key, exchangeData.exchangeKey);
    if (exchangeKey !== null) yield exchangeKey;
  }
}
