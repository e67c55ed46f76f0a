/**
 * @file Dialogs. The browser's own element keeps the focus inside, closes on Escape, and gives the
 * focus back.
 */

import { el } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

let count = 0;

/**
 * Show a dialog.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {Child[]} options.content
 * @param {string} options.action text of the button that does it
 * @param {boolean} [options.isGrave] whether that button takes something away
 * @param {() => Promise<string | null>} options.act returns what is wrong, or null
 * @returns {Promise<boolean>} whether it was done
 */
export function showDialog({ title, content, action, isGrave = false, act }) {
  const id = `dialog-${++count}`;
  const problem = el("p", { class: "problem", role: "alert" });
  const done = el("button", { type: "submit", class: isGrave ? "grave" : "primary" }, action);
  const cancel = el("button", { type: "button", click: () => dialog.close() }, "Cancel");
  const form = el(
    "form",
    { method: "dialog", submit: (event) => void submit(event) },
    el("h2", { id }, title),
    ...content,
    problem,
    el("p", { class: "actions" }, cancel, done),
  );
  const dialog = el("dialog", { "aria-labelledby": id }, form);
  let isDone = false;

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    done.disabled = true;
    try {
      const wrong = await act();
      problem.textContent = wrong ?? "";
      isDone = wrong === null;
    } finally {
      done.disabled = false;
    }
    if (isDone) dialog.close();
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isDone);
    });
  });
}
