/** @file A record, read with one private key: what opens it, and what was hidden in it. */

import { hasEncrypted, openContent } from "./content.js";
import { legacyKeys, namedIn } from "./legacy.js";
import { asObject } from "./shapes.js";
import { Documents } from "./source.js";
import { todaysKeys } from "./today.js";
import { withTransferred } from "./transfer-keys.js";

/** @typedef {import("./legacy.js").EntityKey} EntityKey */
/** @typedef {import("./private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./shapes.js").Json} Json */

/**
 * @typedef {object} Reading
 * @property {"opened" | "closed" | "clear"} state "clear" where nothing in it is encrypted
 * @property {Json} [record] the record in clear, where it is opened
 * @property {Set<string>} [paths] where its encrypted members stand
 * @property {EntityKey} [way] what opened it
 * @property {boolean} [transferred] whether another private key of the same person was opened first
 */

/**
 * Read a record with a private key, in both flavours.
 *
 * @param {string} kind
 * @param {Json} record as the server stores it
 * @param {PrivateKey} privateKey
 * @param {import("./source.js").Source} source
 * @returns {Promise<Reading>}
 */
export async function read(kind, record, privateKey, source) {
  if (!hasEncrypted(record)) return { state: "clear" };
  const documents = new Documents(source);
  const owners = [privateKey.ownerId, ...namedIn(record), ...namedToday(record), String(record.id)];
  for await (const key of withTransferred(privateKey, owners.filter(Boolean), documents)) {
    for await (const way of keysOf(kind, record, key, documents)) {
      const opened = await openContent(record, way.key);
      if (opened === null) continue;
      const transferred = key !== privateKey;
      return { state: "opened", record: opened.clear, paths: opened.paths, way, transferred };
    }
  }
  return { state: "closed" };
}

/**
 * @param {string} kind
 * @param {Json} record
 * @param {PrivateKey} key
 * @param {Documents} documents
 */
async function* keysOf(kind, record, key, documents) {
  yield* legacyKeys(record, key, documents);
  yield* todaysKeys(kind, record, key, documents);
}

/**
 * @param {Json} record
 * @returns {string[]}
 */
function namedToday(record) {
  const delegations = Object.values(asObject(asObject(record.securityMetadata).secureDelegations));
  return delegations
    .map(asObject)
    .flatMap(({ delegator, delegate }) => [delegator, delegate])
    .filter((id) => typeof id === "string");
}
