/** @file One record: what the server sees of it, and what a private key reads. */

import { read } from "./crypto/reading.js";
import { copyButton } from "./copy.js";
import { byId, el, replaceChildren } from "./dom.js";
import { shortId } from "./format.js";
import { jsonView } from "./json-view.js";
import { nameOf, oneOf } from "./names.js";

/** @typedef {import("./crypto/private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./crypto/reading.js").Reading} Reading */
/** @typedef {import("./crypto/shapes.js").Json} Json */
/** @typedef {import("./crypto/source.js").Source} Source */

/**
 * @typedef {object} ChosenKey
 * @property {PrivateKey} key
 * @property {string} owner the name of its owner, or an empty text
 */

/**
 * @typedef {object} KeyActions
 * @property {() => void} choose
 * @property {() => void} forget
 */

let turn = 0;

/**
 * Show a record.
 *
 * @param {string} kind
 * @param {Json} record
 * @param {ChosenKey | null} chosen
 * @param {Source} source
 * @param {KeyActions} actions
 * @param {(id: string) => Promise<string>} ownerName
 */
export async function showRecord(kind, record, chosen, source, actions, ownerName) {
  const mine = ++turn;
  const reading = chosen === null ? null : await read(kind, record, chosen.key, source);
  const pane = await readingPane(reading, chosen, actions, ownerName);
  // Another record was chosen while this one was decrypted.
  if (mine !== turn) return;
  const root = byId("record");
  const folds = openFolds(root);
  replaceChildren(
    root,
    heading(kind, record),
    el(
      "div",
      { class: "panes" },
      el(
        "section",
        { class: "pane server", "aria-labelledby": "server-title" },
        el("h4", { id: "server-title" }, "What the server sees"),
        jsonView(record),
      ),
      pane,
    ),
  );
  root.hidden = false;
  byId("no-record").hidden = true;
  for (const fold of root.querySelectorAll("details")) {
    fold.open = folds.has(fold.querySelector(".name")?.textContent ?? "");
  }
}

/** Show no record. */
export function hideRecord() {
  turn += 1;
  byId("record").hidden = true;
  // Nothing that was decrypted stays behind.
  byId("record").replaceChildren();
  byId("no-record").hidden = false;
}

/** @param {HTMLElement} root */
function openFolds(root) {
  const open = [...root.querySelectorAll("details[open] > summary > .name")];
  return new Set(open.map((name) => name.textContent));
}

/**
 * @param {string} kind
 * @param {Json} record
 */
function heading(kind, record) {
  const id = String(record.id);
  return el(
    "header",
    { class: "record-head" },
    el("h3", {}, nameOf(record) || `One ${oneOf(kind)}`),
    el("p", { class: "muted" }, oneOf(kind), " ", el("code", {}, id), copyButton(id, "Copy the id", "copy id")),
  );
}

/**
 * @param {Reading | null} reading
 * @param {ChosenKey | null} chosen
 * @param {KeyActions} actions
 * @param {(id: string) => Promise<string>} ownerName
 */
async function readingPane(reading, chosen, actions, ownerName) {
  const [why, content] = await outcome(reading, ownerName);
  return el(
    "section",
    { class: `pane key ${reading?.state ?? "none"}`, "aria-labelledby": "key-title" },
    el("h4", { id: "key-title" }, "What this key reads"),
    keyLine(chosen, actions),
    el("p", { class: "why" }, why),
    content,
  );
}

/**
 * @param {ChosenKey | null} chosen
 * @param {KeyActions} actions
 */
function keyLine(chosen, { choose, forget }) {
  const change = { type: "button", "data-key": "choose key", click: () => choose() };
  if (chosen === null) {
    return el("p", { class: "key-line" }, el("button", { ...change, class: "primary" }, "Choose a key…"));
  }
  const whose = chosen.owner ? `Key of ${chosen.owner}` : "Key of nobody here";
  return el(
    "p",
    { class: "key-line" },
    el("span", { class: "chosen" }, whose, " ", el("code", {}, `…${chosen.key.fingerprintV2.slice(-8)}`)),
    el("button", change, "Change…"),
    el("button", { type: "button", "data-key": "forget key", click: () => forget() }, "Forget"),
  );
}

/**
 * @param {Reading | null} reading
 * @param {(id: string) => Promise<string>} ownerName
 * @returns {Promise<[string, HTMLElement | null]>}
 */
async function outcome(reading, ownerName) {
  if (reading === null) {
    return ["With a private key, the record is decrypted here. The key never leaves this page.", null];
  }
  if (reading.state === "clear") {
    return ["Nothing in this record is encrypted: the server reads all of it.", null];
  }
  const { record, paths, way, transferred } = reading;
  if (record === undefined || way === undefined) {
    return [
      "This key opens nothing of this record. It was not shared with the owner of the key, or was " +
        "before this key was made.",
      null,
    ];
  }
  const from = await ownerName(way.from);
  const how = way.flavour === "2023" ? "exchange key" : "exchange data";
  const opener =
    way.from === way.to ? `${from}’s own ${how}` : `the ${how} from ${from} to ${await ownerName(way.to)}`;
  const first = transferred ? "Through a second key of the same person. " : "";
  const count = paths?.size ?? 0;
  const what = count === 1 ? "The marked member is" : `The ${count} marked members are`;
  const why = `${first}Opened by ${opener}. ${what} encrypted for the server.`;
  return [why, jsonView(withoutCiphertext(record), paths)];
}

/** @param {Json} record */
function withoutCiphertext(record) {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== "encryptedSelf"));
}

/**
 * @param {Json} record
 * @returns {string}
 */
export function labelOf(record) {
  return nameOf(record) || shortId(String(record.id));
}
