/**
 * @file The way of 2023 to the key of a record: a private key opens the exchange key of two data
 * owners in `aesExchangeKeys`, and that opens an entry of `encryptionKeys`
 * (docs/spec/cryptography.md §3 to §5).
 */

import { aesDecrypt, fromHex, toLatin1 } from "./bytes.js";
import { asList, asObject, member } from "./shapes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./shapes.js").Json} Json */
/** @typedef {import("./source.js").Documents} Documents */

/**
 * @typedef {object} EntityKey
 * @property {Bytes} key the key of the record
 * @property {string} from the data owner who shares, or an empty text
 * @property {string} to the data owner shared with, or an empty text
 * @property {string} flavour "2023" or "today"
 */

/**
 * Yield the keys of a record, as far as a private key leads to them.
 *
 * @param {Json} record
 * @param {PrivateKey} privateKey
 * @param {Documents} documents
 * @returns {AsyncGenerator<EntityKey>}
 */
export async function* legacyKeys(record, privateKey, documents) {
  for (const { owner, delegatedTo, key } of entriesOf(record)) {
    const delegator = await documents.owner(owner);
    for await (const exchangeKey of exchangeKeys(delegator, delegatedTo, privateKey)) {
      const plaintext = await aesDecrypt(exchangeKey, fromHex(key));
      const secret = plaintext === null ? null : secretIn(toLatin1(plaintext));
      if (secret !== null) {
        yield { key: secret, from: owner, to: delegatedTo, flavour: "2023" };
      }
    }
  }
}

/**
 * Return everybody whom the entries of a record name.
 *
 * @param {Json} record
 * @returns {string[]}
 */
export function namedIn(record) {
  return entriesOf(record).flatMap(({ owner, delegatedTo }) => [owner, delegatedTo]);
}

/**
 * @param {Json} record
 * @returns {{owner: string, delegatedTo: string, key: unknown}[]}
 */
function entriesOf(record) {
  const keys = entriesIn(record.encryptionKeys);
  // In the oldest records the secret id is the key, too.
  return keys.length > 0 ? keys : entriesIn(record.delegations);
}

/** @param {unknown} map */
function entriesIn(map) {
  return Object.entries(asObject(map)).flatMap(([delegate, entries]) =>
    asList(entries)
      .map(asObject)
      .filter((entry) => typeof entry.owner === "string")
      .map((entry) => ({ owner: String(entry.owner), delegatedTo: delegate, key: entry.key })),
  );
}

/**
 * Yield the exchange keys from a data owner to a delegate that a private key opens.
 *
 * @param {Json | null} delegator
 * @param {string} delegateId
 * @param {PrivateKey} privateKey
 * @returns {AsyncGenerator<Bytes>}
 */
export async function* exchangeKeys(delegator, delegateId, privateKey) {
  for (const ciphertext of wrappedFor(delegator, delegateId, privateKey.fingerprint)) {
    const exchangeKey = await privateKey.decrypt(fromHex(ciphertext));
    if (exchangeKey !== null) yield exchangeKey;
  }
}

/**
 * @param {Json | null} delegator
 * @param {string} delegateId
 * @param {string} fingerprint
 * @returns {unknown[]}
 */
function wrappedFor(delegator, delegateId, fingerprint) {
  const maps = Object.values(asObject(delegator?.aesExchangeKeys));
  const named = maps.flatMap((map) =>
    Object.entries(asObject(member(map, delegateId)))
      .filter(([name]) => name === "" || name.slice(-32).toLowerCase() === fingerprint)
      .map(([, ciphertext]) => ciphertext),
  );
  const older = asList(member(delegator?.hcPartyKeys, delegateId));
  return [...new Set([...named, ...older])];
}

/**
 * @param {string} plaintext `{entity id}:{secret}`
 * @returns {Bytes | null}
 */
function secretIn(plaintext) {
  const secret = plaintext.split(":")[1] ?? "";
  const digits = secret.length === 36 ? secret.replaceAll("-", "") : secret;
  return [32, 64].includes(digits.length) ? fromHex(digits) : null;
}
