/** @file The dialog in which a person chooses the private key that records are read with. */

import { call } from "./api.js";
import { ClosedBackupError, isBackup } from "./crypto/backup.js";
import { NotAKeyError, readPrivateKey } from "./crypto/private-key.js";
import { showDialog } from "./dialogs.js";
import { el } from "./dom.js";
import { nameOf } from "./names.js";

/** @typedef {import("./crypto/private-key.js").PrivateKey} PrivateKey */
/** @typedef {import("./crypto/shapes.js").Json} Json */

// The largest key pair that can be loaded takes 30,000 characters.
const LARGEST = 1 << 20;

/**
 * Ask for a private key.
 *
 * @returns {Promise<PrivateKey | null>} null where the person gave none
 */
export async function askForKey() {
  let fileName = "";
  /** @type {PrivateKey | null} */
  let chosen = null;
  const text = el("textarea", {
    id: "key-text",
    rows: 6,
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    input: () => {
      fileName = "";
      askForPassphrase();
    },
    placeholder: '{"publicKey": {"kty": "RSA", …}, "privateKey": {"kty": "RSA", …}}',
  });
  const passphrase = el("input", { type: "password", id: "key-passphrase", autocomplete: "off" });
  const ofBackup = el(
    "p",
    { class: "field", hidden: true },
    el("label", { for: "key-passphrase" }, "Passphrase of this backup"),
    passphrase,
  );
  const askForPassphrase = () => (ofBackup.hidden = !looksLikeBackup(text.value));
  const file = el("input", {
    type: "file",
    id: "key-file",
    change: async () => {
      const picked = file.files?.[0];
      if (picked === undefined || picked.size > LARGEST) return;
      text.value = await picked.text();
      fileName = picked.name;
      askForPassphrase();
    },
  });
  const ofPlaced = choiceOfPlaced((document) => {
    text.value = document;
    fileName = "";
    askForPassphrase();
  });
  await showDialog({
    title: "Read with a private key",
    content: [
      el(
        "p",
        {},
        "The key stays in this page: it is sent nowhere, and is gone when the page is closed. The " +
          "records are decrypted here, in your browser.",
      ),
      el("label", { for: "key-text" }, "Paste a key: the content of a key file, or the answer of ",
        el("code", {}, "POST /sandbox/people")),
      text,
      el("label", { for: "key-file" }, "Or open a key file, or a backup"),
      file,
      ofBackup,
      ofPlaced,
    ],
    action: "Use this key",
    act: async () => {
      try {
        const options = { fileName, passphrase: passphrase.value };
        chosen = await readPrivateKey(text.value, options);
        return null;
      } catch (error) {
        if (error instanceof ClosedBackupError) passphrase.focus();
        else if (!(error instanceof NotAKeyError)) throw error;
        return error.message;
      } finally {
        if (chosen !== null) text.value = passphrase.value = "";
      }
    },
  });
  return chosen;
}

/**
 * Offer the key pairs that the sandbox has made itself, once it has told them.
 *
 * @param {(document: string) => void} use
 * @returns {HTMLElement}
 */
function choiceOfPlaced(use) {
  const person = el(
    "select",
    { id: "key-person", change: () => use(person.value) },
    el("option", { value: "" }, "Nobody"),
  );
  const choice = el(
    "p",
    { class: "field", hidden: true },
    el("label", { for: "key-person" }, "Or take the key of somebody whom the sandbox itself has placed"),
    person,
    el("span", { class: "muted" }, "It made these keys. A real server never has one."),
  );
  void placedPeople().then((people) => {
    person.append(
      ...people.map((one) => el("option", { value: JSON.stringify(one) }, nameOf(one))),
    );
    choice.hidden = people.length === 0;
  });
  return choice;
}

/** @returns {Promise<Json[]>} the people whose key pairs the sandbox has made */
async function placedPeople() {
  try {
    /** @type {Json[]} */
    const people = await call("GET", "/people");
    return people.filter(({ keyPair }) => keyPair);
  } catch {
    // There is no choice then; the page says elsewhere that the sandbox is away.
    return [];
  }
}

/** @param {string} text */
function looksLikeBackup(text) {
  try {
    return isBackup(JSON.parse(text));
  } catch {
    return false;
  }
}
