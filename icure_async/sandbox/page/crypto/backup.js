/** @file The files that `icure keys export` writes: key pairs, encrypted with a passphrase. */

import { fromBase64, fromText } from "./bytes.js";
import { scrypt } from "./scrypt.js";
import { asObject, isObject } from "./shapes.js";

/** @typedef {import("./shapes.js").Json} Json */
/** @typedef {import("./scrypt.js").Cost} Cost */

const FORMAT = "icure-key-backup";
/** @type {Cost} */
const COST = { n: 131072, r: 8, p: 1 };

/** The passphrase is missing or wrong, or the file was changed; the message says so. */
export class ClosedBackupError extends Error {}

/**
 * @param {unknown} document
 * @returns {document is Json}
 */
export function isBackup(document) {
  return isObject(document) && document.format === FORMAT;
}

/**
 * Decrypt a backup.
 *
 * @param {Json} document
 * @param {string} passphrase
 * @param {Cost} [cost] of this version of the format
 * @returns {Promise<unknown>} its content
 * @throws {ClosedBackupError}
 */
export async function openBackup(document, passphrase, cost = COST) {
  if (passphrase === "") {
    throw new ClosedBackupError("This backup is encrypted: type the passphrase that it was made with.");
  }
  const { ciphertext, ...header } = document;
  const kdf = asObject(header.kdf);
  const salt = fromBase64(kdf.salt);
  const iv = fromBase64(asObject(header.cipher).nonce);
  const sealed = fromBase64(ciphertext);
  const isKnown = document.version === 1 && kdf.n === cost.n && kdf.r === cost.r && kdf.p === cost.p;
  if (!isKnown || salt === null || iv === null || sealed === null) {
    throw new ClosedBackupError("This backup is damaged, or of a version that this page does not know.");
  }
  const derived = await scrypt(fromText(passphrase.normalize("NFC")), salt, cost);
  try {
    const key = await crypto.subtle.importKey("raw", derived, "AES-GCM", false, ["decrypt"]);
    const additionalData = fromText(JSON.stringify(header));
    const options = { name: "AES-GCM", iv, additionalData };
    const plaintext = await crypto.subtle.decrypt(options, key, sealed);
    return JSON.parse(new TextDecoder().decode(plaintext));
  } catch {
    throw new ClosedBackupError("The passphrase is wrong, or the backup was changed.");
  }
}
