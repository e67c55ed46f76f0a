/** @file The messages that were sent, the newest first: recipient, channel, code, time left. */

import { copyButton } from "./copy.js";
import { announce, byId, el } from "./dom.js";
import { countdown, timeOf } from "./format.js";

/** @typedef {import("./clock.js").Clock} Clock */

/**
 * @typedef {object} Message
 * @property {number} number
 * @property {"sms" | "email"} channel
 * @property {string} recipient
 * @property {string} subject
 * @property {string} text
 * @property {string | null} code
 * @property {number} sentAt
 * @property {number | null} expiresAt
 * @property {"open" | "used" | "expired" | "closed"} state
 */

const MOST = 100;
const SOON = 60_000;
const CHANNELS = { sms: "SMS", email: "Email" };
const ENDS = { used: "Used", expired: "Expired", closed: "Closed: too many wrong codes" };

/** The list of messages. */
export class Codes {
  /** @type {Map<number, {message: Message, item: HTMLElement, tick: () => void}>} */
  #shown = new Map();
  #clock;
  #list = byId("messages");

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
    clock.onTick(() => {
      for (const { tick } of this.#shown.values()) tick();
    });
  }

  /**
   * Show these messages, and no others.
   *
   * @param {Message[]} messages the oldest first
   */
  replace(messages) {
    this.#shown.clear();
    this.#list.replaceChildren();
    for (const message of messages.slice(-MOST)) this.#put(message);
    this.#count();
  }

  /**
   * Show a message that has arrived.
   *
   * @param {Message} message
   */
  add(message) {
    const isNew = !this.#shown.has(message.number);
    this.#put(message);
    this.#count();
    if (isNew) announce(spoken(message));
  }

  /**
   * Show what has become of a code.
   *
   * @param {{number: number, state: Message["state"]}} end
   */
  end({ number, state }) {
    const shown = this.#shown.get(number);
    if (shown !== undefined) this.#put({ ...shown.message, state });
  }

  /** @param {Message} message */
  #put(message) {
    const before = this.#shown.get(message.number);
    const { item, tick } = card(message, this.#clock);
    if (before === undefined) {
      this.#list.prepend(item);
    } else {
      const hadFocus = before.item.contains(document.activeElement);
      before.item.replaceWith(item);
      if (hadFocus) item.querySelector("button")?.focus();
    }
    this.#shown.set(message.number, { message, item, tick });
    const oldest = this.#shown.keys().next().value;
    if (this.#shown.size > MOST && oldest !== undefined) {
      this.#shown.get(oldest)?.item.remove();
      this.#shown.delete(oldest);
    }
  }

  #count() {
    byId("no-messages").hidden = this.#shown.size > 0;
    byId("codes-count").textContent = this.#shown.size ? String(this.#shown.size) : "";
  }
}

/** @param {Message} message */
function spoken({ code, recipient, channel }) {
  const way = channel === "sms" ? "text message" : "email";
  if (code === null) return `New ${way} to ${recipient}`;
  return `New code by ${way} to ${recipient}: ${[...code].join(" ")}`;
}

/**
 * @param {Message} message
 * @param {Clock} clock
 */
function card(message, clock) {
  const { number, recipient, channel, code, sentAt } = message;
  const left = el("span", { class: "left" });
  const bar = el("span", { class: "rest", "aria-hidden": "true" }, el("span"));
  const item = el(
    "li",
    { class: "message" },
    el(
      "p",
      { class: "to" },
      el("span", { class: "recipient" }, recipient),
      el("span", { class: "channel" }, CHANNELS[channel] ?? channel),
    ),
    code === null
      ? contentOf(message)
      : el(
          "p",
          { class: "code-line" },
          el("span", { class: "code" }, ...grouped(code)),
          copyButton(code, `Copy the code for ${recipient}`, `copy ${number}`),
        ),
    code === null ? null : bar,
    el("p", { class: "facts" }, left, el("time", {}, `sent ${timeOf(sentAt)}`)),
  );
  const tick = () => showRest(message, clock.now(), item, left, bar);
  tick();
  return { item, tick };
}

/** @param {Message} message */
function contentOf({ subject, text }) {
  return el("p", { class: "text" }, subject ? el("strong", {}, subject) : null, text);
}

/**
 * Return a code in groups of three; a copy of them is the code without gaps.
 *
 * @param {string} code
 */
function grouped(code) {
  const groups = code.match(/.{1,3}/g) ?? [];
  return groups.map((digits) => el("span", {}, digits));
}

/**
 * @param {Message} message
 * @param {number} now
 * @param {HTMLElement} item
 * @param {HTMLElement} left
 * @param {HTMLElement} bar
 */
function showRest({ code, state, sentAt, expiresAt }, now, item, left, bar) {
  if (code === null) return;
  // A clock that is some milliseconds behind gives nobody more time.
  const rest = expiresAt === null ? Infinity : expiresAt - Math.max(now, sentAt);
  const present = state === "open" && rest < 0 ? "expired" : state;
  item.dataset.state = present;
  item.classList.toggle("soon", present === "open" && rest < SOON);
  left.textContent =
    present !== "open" ? ENDS[present] : expiresAt === null ? "Open" : `${countdown(rest)} left`;
  const whole = (expiresAt ?? now) - sentAt;
  const share = present === "open" && whole > 0 ? Math.min(1, Math.max(0, rest / whole)) : 0;
  const filled = bar.firstElementChild;
  if (filled instanceof HTMLElement) filled.style.inlineSize = `${share * 100}%`;
}
