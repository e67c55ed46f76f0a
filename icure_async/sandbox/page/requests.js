/** @file The requests as they come, the newest first. */

import { byId, coalesced, el } from "./dom.js";
import { timeOf } from "./format.js";

/**
 * @typedef {object} Request
 * @property {number} number
 * @property {string} method
 * @property {string} path
 * @property {number | null} status
 * @property {number} startedAt
 * @property {number} milliseconds
 * @property {string | null} fault
 */

const MOST = 300;

/** The table of requests. */
export class Requests {
  #total = 0;
  #newest = 0;
  /** @type {Request[]} */
  #waiting = [];
  #rows = byId("request-rows");
  #showSoon = coalesced(() => this.#show(), 50);

  /**
   * Show these requests, and no others.
   *
   * @param {Request[]} requests the oldest first
   */
  replace(requests) {
    this.#rows.replaceChildren();
    this.#total = 0;
    this.#newest = 0;
    this.#waiting = requests.slice(-MOST);
    this.#show();
  }

  /** @param {Request} request */
  add(request) {
    this.#waiting.push(request);
    this.#showSoon();
  }

  #show() {
    const added = this.#waiting.filter(({ number }) => number > this.#newest).slice(-MOST);
    this.#waiting = [];
    this.#newest = added.at(-1)?.number ?? this.#newest;
    this.#rows.prepend(...added.map(row).reverse());
    while (this.#rows.childElementCount > MOST) this.#rows.lastElementChild?.remove();
    this.#total = Math.max(this.#total, this.#newest);
    byId("no-requests").hidden = this.#rows.childElementCount > 0;
    byId("requests-count").textContent = this.#total ? String(this.#total) : "";
  }
}

/** @param {Request} request */
function row({ method, path, status, startedAt, milliseconds, fault }) {
  return el(
    "tr",
    { class: fault ? "struck" : "" },
    el("td", { class: "time" }, timeOf(startedAt)),
    el("td", { class: "method" }, method),
    el("td", { class: "path" }, path, fault ? el("span", { class: "tag" }, `fault: ${fault}`) : null),
    el("td", { class: `status-code s${String(status ?? 0)[0]}` }, status ?? "none"),
    el("td", { class: "number" }, milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)),
  );
}
