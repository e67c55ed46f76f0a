/** @file The records of the sandbox: kinds, the records of one of them, and one that is chosen. */

import { call, RefusedError } from "./api.js";
import { hasEncrypted } from "./crypto/content.js";
import { byId, coalesced, el, replaceChildren } from "./dom.js";
import { shortId } from "./format.js";
import { askForKey } from "./key-choice.js";
import { ALWAYS, factsOf, inOrder, manyOf, nameOf, oneOf, publicKeysOf } from "./names.js";
import { hideRecord, labelOf, showRecord } from "./record.js";

/** @typedef {import("./crypto/shapes.js").Json} Json */
/** @typedef {import("./record.js").ChosenKey} ChosenKey */
/** @typedef {{id: string, name: string | null, records: {[kind: string]: number}}} Group */

const MOST = 200;
const LARGEST_PAGE = 1000;
const OWNER_KINDS = ["patient", "hcparty", "device"];

/** The section of records. */
export class Records {
  #kind = "patient";
  #group = "";
  /** @type {{[kind: string]: number}} */
  #counts = {};
  #id = "";
  /** @type {ChosenKey | null} */
  #chosen = null;
  #complain;
  #refreshSoon;

  /** @param {(error: unknown) => void} complain */
  constructor(complain) {
    this.#complain = complain;
    this.#refreshSoon = coalesced(() => this.refresh().catch(complain), 150);
  }

  /** Something was stored: show it soon. */
  changed() {
    this.#refreshSoon();
  }

  /** Ask for everything that is shown, and show it. */
  async refresh() {
    /** @type {{groups: Group[]}} */
    const { groups } = await call("GET", "/state");
    const chosen = groups.find(({ id }) => id === this.#group);
    if (this.#group && chosen === undefined) {
      this.#group = "";
      this.#choose("");
    }
    const present = chosen ?? groups[0];
    this.#counts = present?.records ?? {};
    this.#showGroups(groups, present?.id ?? "");
    this.#showKinds();
    await this.#showList();
    await this.#showRecord();
  }

  /** @param {{[name: string]: string | number}} [query] */
  #path(query = {}) {
    const parameters = new URLSearchParams();
    if (this.#group) parameters.set("group", this.#group);
    for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
    return `/records?${parameters}`;
  }

  /**
   * @param {Group[]} groups
   * @param {string} present
   */
  #showGroups(groups, present) {
    const select = byId("group");
    byId("group-choice").hidden = groups.length < 2;
    if (!(select instanceof HTMLSelectElement)) return;
    select.replaceChildren(...groups.map(({ id, name }) => el("option", { value: id }, name || id)));
    select.value = present;
    select.onchange = () => {
      this.#group = select.value;
      this.#choose("");
      this.#refreshSoon();
    };
  }

  #showKinds() {
    const kinds = Object.keys(this.#counts).filter(
      (kind) => (this.#counts[kind] ?? 0) > 0 || ALWAYS.includes(kind) || kind === this.#kind,
    );
    replaceChildren(byId("kinds"), ...inOrder(kinds).map((kind) => this.#kindButton(kind)));
  }

  /** @param {string} kind */
  #kindButton(kind) {
    const choose = () => {
      this.#kind = kind;
      this.#choose("");
      this.#showKinds();
      void this.#showList().catch(this.#complain);
    };
    return el(
      "button",
      {
        type: "button",
        "data-key": `kind ${kind}`,
        "aria-pressed": String(kind === this.#kind),
        click: choose,
      },
      manyOf(kind),
      " ",
      el("span", { class: "count" }, this.#counts[kind] ?? 0),
    );
  }

  async #showList() {
    const kind = this.#kind;
    const { records } = await call("GET", this.#path({ kind, limit: MOST }));
    if (kind !== this.#kind) return;
    /** @type {Json[]} */
    const newestFirst = [...records].sort((a, b) => createdIn(b) - createdIn(a));
    const total = this.#counts[kind] ?? 0;
    replaceChildren(
      byId("record-list"),
      ...newestFirst.map((record) => this.#row(record)),
      records.length === 0 ? el("p", { class: "empty" }, `There is no ${oneOf(kind)} yet.`) : null,
      total > records.length
        ? el("p", { class: "empty" }, `${records.length} of ${total} are shown.`)
        : null,
    );
  }

  /** @param {Json} record */
  #row(record) {
    const id = String(record.id);
    const kind = this.#kind;
    const isShared = hasEncrypted(record);
    return el(
      "button",
      {
        type: "button",
        class: "row",
        "data-key": `record ${id}`,
        "aria-pressed": String(id === this.#id),
        click: () => {
          this.#choose(id);
          void this.#showRecord().catch(this.#complain);
        },
      },
      el("span", { class: "row-name" }, nameOf(record) || `One ${oneOf(kind)}`),
      el("span", { class: "muted row-facts" }, factsOf(record)),
      record.deletionDate ? el("span", { class: "tag" }, "deleted") : null,
      isShared ? el("span", { class: "tag cipher" }, "encrypted") : null,
      el("code", { class: "muted" }, shortId(id)),
    );
  }

  /** @param {string} id */
  #choose(id) {
    this.#id = id;
    for (const row of byId("record-list").querySelectorAll(".row")) {
      row.setAttribute("aria-pressed", String(row.getAttribute("data-key") === `record ${id}`));
    }
    if (!id) hideRecord();
  }

  async #showRecord() {
    if (!this.#id) return;
    const [kind, id] = [this.#kind, this.#id];
    const record = await this.#one(kind, id);
    if (id !== this.#id) return;
    if (record === null) {
      this.#choose("");
      return;
    }
    await showRecord(
      kind,
      record,
      this.#chosen,
      this.#source(),
      { choose: () => void this.#chooseKey().catch(this.#complain), forget: () => this.#forgetKey() },
      (owner) => this.#ownerName(owner),
    );
  }

  #source() {
    return {
      one: (/** @type {string} */ kind, /** @type {string} */ id) => this.#one(kind, id),
      all: (/** @type {string} */ kind) => this.#all(kind),
    };
  }

  /**
   * @param {string} kind
   * @param {string} id
   * @returns {Promise<Json | null>}
   */
  async #one(kind, id) {
    try {
      const path = `/records/${kind}/${encodeURIComponent(id)}`;
      return await call("GET", this.#group ? `${path}?group=${encodeURIComponent(this.#group)}` : path);
    } catch (error) {
      if (error instanceof RefusedError && [400, 404].includes(error.status)) return null;
      throw error;
    }
  }

  /**
   * @param {string} kind
   * @returns {Promise<Json[]>}
   */
  async #all(kind) {
    /** @type {Json[]} */
    const found = [];
    for (let after = ""; ; ) {
      const page = await call("GET", this.#path({ kind, limit: LARGEST_PAGE, after }));
      found.push(...page.records);
      if (!page.next) return found;
      after = page.next;
    }
  }

  async #chooseKey() {
    const key = await askForKey();
    if (key === null) return;
    const owner = await this.#ownerOf(key.publicKey);
    if (owner !== null) key.ownerId = String(owner.id);
    this.#chosen = { key, owner: owner === null ? "" : labelOf(owner) };
    await this.#showRecord();
  }

  /** Everything was replaced: the key belongs to nobody any more. */
  reset() {
    this.#chosen = null;
    hideRecord();
  }

  #forgetKey() {
    this.#chosen = null;
    // At once, also where the sandbox is away.
    hideRecord();
    void this.#showRecord().catch(this.#complain);
  }

  /**
   * @param {string} publicKey
   * @returns {Promise<Json | null>} the data owner who publishes it
   */
  async #ownerOf(publicKey) {
    for (const kind of OWNER_KINDS) {
      const owners = await this.#all(kind);
      const found = owners.find((owner) => publicKeysOf(owner).includes(publicKey));
      if (found !== undefined) return found;
    }
    return null;
  }

  /**
   * @param {string} id
   * @returns {Promise<string>}
   */
  async #ownerName(id) {
    for (const kind of OWNER_KINDS) {
      const owner = await this.#one(kind, id);
      if (owner !== null) return labelOf(owner);
    }
    return shortId(id);
  }
}

/** @param {Json} record */
function createdIn(record) {
  const created = record.created ?? record.createdDate;
  return typeof created === "number" ? created : 0;
}
