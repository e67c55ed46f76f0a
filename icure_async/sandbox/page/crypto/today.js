/**
 * @file Today's way to the key of a record: a private key opens exchange data, a document of its
 * own, and that opens the secure delegations in `securityMetadata` (docs/spec/today.md §4, §5).
 */

import { aesDecrypt, fromBase64, fromText, toHex, toLatin1 } from "./bytes.js";
import { asList, asObject, member } from "./shapes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./legacy.js").EntityKey} EntityKey */
/** @typedef {import("./private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./shapes.js").Json} Json */
/** @typedef {import("./source.js").Documents} Documents */

/** @type {{[kind: string]: string}} */
const ENTITY_TYPES = {
  patient: "Patient",
  helement: "HealthElement",
  contact: "Contact",
  maintenancetask: "MaintenanceTask",
  document: "Document",
};
const PREFIX = "Cure";

/**
 * Yield the keys of a record, as far as a private key leads to them.
 *
 * @param {string} kind
 * @param {Json} record
 * @param {PrivateKey} privateKey
 * @param {Documents} documents
 * @returns {AsyncGenerator<EntityKey>}
 */
export async function* todaysKeys(kind, record, privateKey, documents) {
  const delegations = asObject(asObject(record.securityMetadata).secureDelegations);
  for (const [name, delegation] of Object.entries(delegations)) {
    const exchangeData = await exchangeDataOf(kind, name, delegation, privateKey, documents);
    if (exchangeData === null) continue;
    const exchangeKey = await openedBy(privateKey, exchangeData.exchangeKey);
    if (exchangeKey === null) continue;
    for (const ciphertext of asList(member(delegation, "encryptionKeys"))) {
      const plaintext = await aesDecrypt(exchangeKey, fromBase64(ciphertext));
      if (plaintext === null || toLatin1(plaintext.subarray(0, 4)) !== PREFIX) continue;
      yield {
        key: plaintext.slice(4),
        from: String(exchangeData.delegator),
        to: String(exchangeData.delegate),
        flavour: "today",
      };
    }
  }
}

/**
 * Return the exchange data of a delegation: named in it, in its map, or known by its secret.
 *
 * @param {string} kind
 * @param {string} name the delegation key
 * @param {unknown} delegation
 * @param {PrivateKey} privateKey
 * @param {Documents} documents
 * @returns {Promise<Json | null>}
 */
async function exchangeDataOf(kind, name, delegation, privateKey, documents) {
  const id = member(delegation, "exchangeDataId") ?? (await idInMap(name, privateKey, documents));
  if (typeof id === "string") return documents.one("exchangedata", id);
  for (const exchangeData of await documents.all("exchangedata")) {
    const secret = await openedBy(privateKey, exchangeData.accessControlSecret);
    if (secret !== null && (await delegationKey(secret, ENTITY_TYPES[kind] ?? "")) === name) {
      return exchangeData;
    }
  }
  return null;
}

/**
 * @param {string} name
 * @param {PrivateKey} privateKey
 * @param {Documents} documents
 * @returns {Promise<string | null>}
 */
async function idInMap(name, privateKey, documents) {
  const map = await documents.one("exchangedatamap", name);
  const id = await openedBy(privateKey, map?.encryptedExchangeDataIds);
  return id === null ? null : toLatin1(id);
}

/**
 * @param {PrivateKey} privateKey
 * @param {unknown} wrapped fingerprint → base64 of what is encrypted for that key
 * @returns {Promise<Bytes | null>}
 */
export async function openedBy(privateKey, wrapped) {
  return privateKey.decrypt(fromBase64(member(wrapped, privateKey.fingerprintV2)));
}

/**
 * @param {Bytes} secret
 * @param {string} entityType
 * @returns {Promise<string>}
 */
async function delegationKey(secret, entityType) {
  const named = await crypto.subtle.digest("SHA-256", fromText(toHex(secret) + entityType));
  return toHex(await crypto.subtle.digest("SHA-256", named.slice(0, 16)));
}
