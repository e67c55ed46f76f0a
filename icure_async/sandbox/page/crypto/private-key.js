/**
 * @file The private key that a person chose. It stays in this page, in a form that WebCrypto does
 * not hand out again, and in memory only.
 */

import { isBackup, openBackup } from "./backup.js";
import { fromBase64, fromHex, toHex } from "./bytes.js";
import { asList, asObject, isObject } from "./shapes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./backup.js").ClosedBackupError} ClosedBackupError */
/** @typedef {import("./shapes.js").Json} Json */

const RSA = { name: "RSA-OAEP", hash: "SHA-256" };
const PRIVATE_MEMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
const OWNER = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;
const PEM = /-----BEGIN PRIVATE KEY-----([\s\S]+?)-----END PRIVATE KEY-----/;
const DEEPEST = 4;

/** A text that holds no private key; its message says what to choose instead. */
export class NotAKeyError extends Error {}

/**
 * A private key that opens what was encrypted for its public half.
 *
 * Members with two hashes: keys of 2023 are used with SHA-1, those of today with SHA-256.
 */
export class PrivateKey {
  #sha1;
  #sha256;

  /** @type {PrivateKey[]} other keys of the same person, from the same backup */
  others = [];

  /**
   * @param {CryptoKey} sha1
   * @param {CryptoKey} sha256
   * @param {string} publicKey hex of the SPKI
   * @param {string} ownerId the data owner whose it is, as far as the text said so
   */
  constructor(sha1, sha256, publicKey, ownerId) {
    this.#sha1 = sha1;
    this.#sha256 = sha256;
    this.publicKey = publicKey;
    this.ownerId = ownerId;
  }

  /** The name of the key in the structures of 2023. */
  get fingerprint() {
    return this.publicKey.slice(-32);
  }

  /** The name of the key in the structures of today. */
  get fingerprintV2() {
    return this.publicKey.slice(-32, -10);
  }

  /**
   * @param {Bytes | null} ciphertext
   * @returns {Promise<Bytes | null>} null where it was encrypted for another key
   */
  async decrypt(ciphertext) {
    if (ciphertext === null) return null;
    for (const key of [this.#sha256, this.#sha1]) {
      try {
        return new Uint8Array(await crypto.subtle.decrypt("RSA-OAEP", key, ciphertext));
      } catch {
        continue;
      }
    }
    return null;
  }
}

/**
 * Read a private key: a JSON Web Key, a key file of a device or of Cardinal, a backup, the answer
 * of `POST /sandbox/people`, PKCS#8 as PEM, hex or base64.
 *
 * @param {string} text
 * @param {{fileName?: string, passphrase?: string}} [options]
 * @returns {Promise<PrivateKey>}
 * @throws {NotAKeyError | ClosedBackupError}
 */
export async function readPrivateKey(text, { fileName = "", passphrase = "" } = {}) {
  const document = parsed(text);
  const ownerId = ownerIn(document) || OWNER.exec(fileName)?.[0] || "";
  if (isBackup(document)) return keyInBackup(await openBackup(document, passphrase), ownerId);
  return keyOf(document === undefined ? text : keyIn(document, DEEPEST), ownerId);
}

/**
 * @param {unknown} content of a backup
 * @param {string} ownerId
 * @returns {Promise<PrivateKey>}
 */
async function keyInBackup(content, ownerId) {
  const items = asList(asObject(content).keyPairs);
  const [first, ...others] = await Promise.all(
    items.map((item) => keyOf(keyIn(item, DEEPEST), ownerId)),
  );
  if (first === undefined) throw new NotAKeyError("There is no key in this backup.");
  first.others = others;
  return first;
}

/**
 * @param {unknown} found a JWK, or the text of a PKCS#8
 * @param {string} ownerId
 * @returns {Promise<PrivateKey>}
 */
async function keyOf(found, ownerId) {
  return importKey(isObject(found) ? found : await jwkOf(found), ownerId);
}

/**
 * @param {Bytes} pkcs8
 * @returns {Promise<PrivateKey | null>}
 */
export async function privateKeyFrom(pkcs8, ownerId = "") {
  try {
    return await importKey(await jwkOf(toHex(pkcs8)), ownerId);
  } catch {
    return null;
  }
}

/**
 * @param {string} text
 * @returns {unknown} undefined where it is no JSON
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Find the private key in a JSON document: a JWK, or the text of a member `privateKey`.
 *
 * @param {unknown} value
 * @param {number} depth
 * @returns {unknown}
 */
function keyIn(value, depth) {
  if (typeof value !== "object" || value === null || depth === 0) return undefined;
  if (isObject(value)) {
    if (value.kty === "RSA" && typeof value.d === "string") return value;
    if (typeof value.privateKey === "string") return value.privateKey;
  }
  for (const inner of Object.values(value)) {
    const found = keyIn(inner, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param {unknown} document
 * @returns {string}
 */
function ownerIn(document) {
  const owner = isObject(document) ? document.dataOwnerId : undefined;
  return typeof owner === "string" ? owner : "";
}

/**
 * @param {unknown} text PKCS#8
 * @returns {Promise<Json>}
 */
async function jwkOf(text) {
  const body = typeof text === "string" ? (PEM.exec(text)?.[1] ?? text).replace(/\s+/g, "") : "";
  const pkcs8 = fromHex(body) ?? fromBase64(body);
  try {
    if (pkcs8 === null) throw new Error();
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, RSA, true, ["decrypt"]);
    return /** @type {Json} */ (await crypto.subtle.exportKey("jwk", key));
  } catch {
    throw new NotAKeyError(
      "There is no RSA private key in this text. Paste the JSON of a key file, the answer of " +
        "POST /sandbox/people, or a private key as PKCS#8.",
    );
  }
}

/**
 * @param {Json} jwk
 * @param {string} ownerId
 * @returns {Promise<PrivateKey>}
 */
async function importKey(jwk, ownerId) {
  const numbers = Object.fromEntries(PRIVATE_MEMBERS.map((name) => [name, jwk[name]]));
  const secret = /** @type {JsonWebKey} */ ({ kty: "RSA", ...numbers });
  const open = /** @type {JsonWebKey} */ ({ kty: "RSA", n: numbers.n, e: numbers.e });
  try {
    const [sha1, sha256, shown] = await Promise.all([
      crypto.subtle.importKey("jwk", secret, { ...RSA, hash: "SHA-1" }, false, ["decrypt"]),
      crypto.subtle.importKey("jwk", secret, RSA, false, ["decrypt"]),
      crypto.subtle.importKey("jwk", open, RSA, true, ["encrypt"]),
    ]);
    const publicKey = toHex(await crypto.subtle.exportKey("spki", shown));
    return new PrivateKey(sha1, sha256, publicKey, ownerId);
  } catch {
    throw new NotAKeyError("The numbers of this key do not form an RSA private key.");
  }
}
