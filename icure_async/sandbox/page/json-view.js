/**
 * @file JSON as lines of text, with what is encrypted and what was decrypted marked. Long texts are
 * shortened, and metadata about keys is folded.
 */

import { el } from "./dom.js";
import { isObject, pointer } from "./crypto/shapes.js";

const LONGEST = 400;
const LONGEST_CIPHERTEXT = 120;
const CIPHERTEXT = "encryptedSelf";
// Folded: they are long, and say nothing about the person.
const KEY_METADATA = new Set([
  "aesExchangeKeys", "hcPartyKeys", "transferKeys", "privateKeyShamirPartitions", "delegations",
  "encryptionKeys", "cryptedForeignKeys", "securityMetadata", "publicKeysForOaepWithSha256",
  "exchangeKey", "accessControlSecret", "sharedSignatureKey", "delegatorSignature",
  "encryptedExchangeDataIds", "cryptoActorProperties",
]);
const DEEPEST = 40;
const FEW = 1;

/**
 * Show a document.
 *
 * @param {unknown} value
 * @param {Set<string>} [decrypted] where decrypted members stand, as JSON Pointers
 * @returns {HTMLElement}
 */
export function jsonView(value, decrypted = new Set()) {
  const ordered = isObject(value) ? inOrder(value, decrypted) : value;
  return el("div", { class: "json" }, ...lines("", ordered, "", decrypted, "", 0));
}

/**
 * Return an object with the interesting members first, and metadata about keys last.
 *
 * @param {{[name: string]: unknown}} object
 * @param {Set<string>} decrypted
 */
function inOrder(object, decrypted) {
  const rank = (/** @type {string} */ name) => {
    if (decrypted.has(pointer("", name))) return 0;
    if (KEY_METADATA.has(name) || name === "publicKey") return 3;
    return name === CIPHERTEXT ? 1 : 2;
  };
  const entries = Object.entries(object).map((entry, place) => ({ entry, place }));
  entries.sort((a, b) => rank(a.entry[0]) - rank(b.entry[0]) || a.place - b.place);
  return Object.fromEntries(entries.map(({ entry }) => entry));
}

/**
 * @param {string} name with its colon, or an empty text
 * @param {unknown} value
 * @param {string} path
 * @param {Set<string>} decrypted
 * @param {string} comma
 * @param {number} depth
 * @returns {HTMLElement[]}
 */
function lines(name, value, path, decrypted, comma, depth) {
  const isContainer = Array.isArray(value) || isObject(value);
  if (!isContainer || depth > DEEPEST) {
    return [line(name, leaf(value, path), comma, decrypted.has(path))];
  }
  const [start, end] = Array.isArray(value) ? "[]" : "{}";
  const entries = Object.entries(value);
  if (entries.length === 0) return [line(name, `${start}${end}`, comma, decrypted.has(path))];
  const show = (/** @type {[string, unknown][]} */ some) =>
    some.flatMap(([key, item], index) => {
      const label = Array.isArray(value) ? "" : key;
      const after = index < some.length - 1 ? "," : "";
      return lines(label, item, pointer(path, key), decrypted, after, depth + 1);
    });
  const empty = isObject(value) ? entries.filter(([, item]) => isEmpty(item)) : [];
  const isMuch = empty.length > FEW && empty.length < entries.length;
  const inner = isMuch
    ? [...show(entries.filter(([, item]) => !isEmpty(item))), foldedEmpty(show(empty), empty.length)]
    : show(entries);
  const children = el("div", { class: "inner" }, ...inner);
  if (KEY_METADATA.has(name)) return [folded(name, entries.length, children, start, end, comma)];
  const block = el(
    "div",
    { class: decrypted.has(path) ? "decrypted" : "" },
    line(name, start ?? "", "", false),
    children,
    line("", end ?? "", comma, false),
  );
  return [block];
}

/** @param {unknown} value */
function isEmpty(value) {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

/**
 * @param {HTMLElement[]} lines
 * @param {number} count
 */
function foldedEmpty(lines, count) {
  const name = el("span", { class: "name" }, `${count} empty members`);
  return el("details", { class: "fold" }, el("summary", {}, name), ...lines);
}

/**
 * @param {string} name
 * @param {number} count
 * @param {HTMLElement} children
 * @param {string | undefined} start
 * @param {string | undefined} end
 * @param {string} comma
 */
function folded(name, count, children, start, end, comma) {
  const hint = el("span", { class: "hint" }, `${start} ${count} ${end}${comma}`);
  return el("details", { class: "fold" }, el("summary", {}, label(name), hint), children);
}

/**
 * @param {string} name
 * @param {string | HTMLElement} content
 * @param {string} comma
 * @param {boolean} isDecrypted
 */
function line(name, content, comma, isDecrypted) {
  const parts = [name ? label(name) : null, content, comma];
  return el("div", { class: isDecrypted ? "line decrypted" : "line" }, ...parts);
}

/** @param {string} name */
function label(name) {
  return el("span", { class: "name" }, `${JSON.stringify(name)}: `);
}

/**
 * @param {unknown} value
 * @param {string} path
 */
function leaf(value, path) {
  const text = JSON.stringify(value) ?? "null";
  if (typeof value !== "string") return el("span", { class: `value ${typeof value}` }, text);
  const isCiphertext = path.endsWith(`/${CIPHERTEXT}`) || isKeyMaterial(value);
  const most = isCiphertext ? LONGEST_CIPHERTEXT : LONGEST;
  const shown = text.length > most ? `${text.slice(0, most)}…"` : text;
  return el(
    "span",
    { class: isCiphertext ? "value ciphertext" : "value string" },
    shown,
    text.length > most ? el("span", { class: "hint" }, ` ${value.length} characters`) : null,
  );
}

/** @param {string} text */
function isKeyMaterial(text) {
  return text.length >= 64 && /^(?:[0-9a-f]+|[A-Za-z0-9+/]+={0,2})$/.test(text);
}
