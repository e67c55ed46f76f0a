/** @file The sandbox's clock: its time, which is shown and counted down by, and its buttons. */

import { call } from "./api.js";
import { byId, el } from "./dom.js";
import { duration, timeOf } from "./format.js";

const STEPS = [
  { text: "+1 min", seconds: 60, label: "Advance the clock by one minute" },
  { text: "+10 min", seconds: 600, label: "Advance the clock by ten minutes" },
  { text: "+1 h", seconds: 3600, label: "Advance the clock by one hour" },
  { text: "+1 day", seconds: 86400, label: "Advance the clock by one day" },
];
// Anything less is the way of an answer.
const NOTABLE = 2000;

/** The sandbox's time, in milliseconds. */
export class Clock {
  #ahead = 0;
  /** @type {(() => void)[]} */
  #listeners = [];

  /** @param {(error: unknown) => void} complain */
  constructor(complain) {
    byId("clock-buttons").append(
      ...STEPS.map(({ text, seconds, label }) =>
        el(
          "button",
          {
            type: "button",
            "aria-label": label,
            click: () => void this.#advance(seconds).catch(complain),
          },
          text,
        ),
      ),
    );
    this.#tick();
  }

  now() {
    return Date.now() + this.#ahead;
  }

  /**
   * Take over the time that the sandbox told just now.
   *
   * @param {number} now
   */
  set(now) {
    this.#ahead = now - Date.now();
    this.#show();
  }

  /**
   * Call a function each second, and whenever the clock was moved.
   *
   * @param {() => void} listener
   */
  onTick(listener) {
    this.#listeners.push(listener);
  }

  /** @param {number} seconds */
  async #advance(seconds) {
    const { now } = await call("POST", "/clock", { advance: seconds });
    this.set(now);
  }

  #tick() {
    this.#show();
    setTimeout(() => this.#tick(), 1000 - (this.now() % 1000));
  }

  #show() {
    const ahead = this.#ahead > NOTABLE ? `${duration(this.#ahead)} ahead` : "";
    byId("clock-time").textContent = timeOf(this.now());
    byId("clock-offset").textContent = ahead;
    for (const listener of this.#listeners) listener();
  }
}
