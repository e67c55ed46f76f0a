/** @file Bytes as hex, base64 and text, and what AES makes of them. */

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

const HEX = /^(?:[0-9a-f]{2})+$/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * @param {unknown} text hex digits
 * @returns {Bytes | null} null where it is something else
 */
export function fromHex(text) {
  if (typeof text !== "string" || !HEX.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/**
 * @param {unknown} text base64 of the standard or the URL-safe alphabet
 * @returns {Bytes | null} null where it is something else
 */
export function fromBase64(text) {
  if (typeof text !== "string") return null;
  const joined = text.replace(/\s+/g, "");
  if (!BASE64.test(joined)) return null;
  try {
    const binary = atob(joined.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/**
 * @param {ArrayBuffer | Bytes} bytes
 * @returns {string}
 */
export function toHex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Bytes} bytes
 * @returns {string} one character per byte
 */
export function toLatin1(bytes) {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/**
 * @param {string} text
 * @returns {Bytes}
 */
export function fromText(text) {
  return new TextEncoder().encode(text);
}

/**
 * Decrypt `IV ‖ AES-CBC(plaintext)`.
 *
 * @param {Bytes} key 16 or 32 bytes
 * @param {Bytes | null} ciphertext
 * @returns {Promise<Bytes | null>} null where the key is another one
 */
export async function aesDecrypt(key, ciphertext) {
  if (ciphertext === null || ciphertext.length < 32 || ![16, 32].includes(key.length)) return null;
  try {
    const aes = await crypto.subtle.importKey("raw", key, "AES-CBC", false, ["decrypt"]);
    const iv = ciphertext.subarray(0, 16);
    const plaintext = await crypto.subtle.decrypt(
      { name: "AES-CBC", iv },
      aes,
      ciphertext.subarray(16),
    );
    return new Uint8Array(plaintext);
  } catch {
    return null;
  }
}
