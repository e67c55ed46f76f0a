/** @file Buttons that copy a text. */

import { announce, el } from "./dom.js";

const SHOWN = 1600;

/**
 * @param {string} text
 * @param {string} label read out instead of "Copy"
 * @param {string} key
 * @returns {HTMLButtonElement}
 */
export function copyButton(text, label, key) {
  const button = el(
    "button",
    {
      type: "button",
      class: "copy",
      "aria-label": label,
      "data-key": key,
      click: async () => {
        const isCopied = await copy(text);
        button.textContent = isCopied ? "Copied" : "Select it";
        announce(isCopied ? "Copied" : "The browser did not allow to copy");
        setTimeout(() => (button.textContent = "Copy"), SHOWN);
      },
    },
    "Copy",
  );
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether the browser allowed it
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/**
 * Copy where the page came from another machine: browsers then have no clipboard for it.
 *
 * @param {string} text
 */
function copyBySelection(text) {
  const focused = document.activeElement;
  const area = el("textarea", { class: "hidden", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isCopied;
}
