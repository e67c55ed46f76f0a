/** @file The faults in force, buttons for usual ones, and a form for others. */

import { call, RefusedError } from "./api.js";
import { announce, byId, coalesced, el, replaceChildren } from "./dom.js";

/**
 * @typedef {{kind: string, method: string, path: string, nth?: number[], times?: number,
 *   status?: number, retryAfter?: number, seconds?: number}} Fault
 * @typedef {{id: number, fault: Fault, matched: number, struck: number}} Injected
 */

const PRESETS = [
  { text: "Refuse the next request (503)", fault: { kind: "status", status: 503, times: 1 } },
  { text: "Lose the next answer", fault: { kind: "drop-after", times: 1 } },
  { text: "Slow: 2 s each", fault: { kind: "delay", seconds: 2 } },
  { text: "Conflict at the next change", fault: { kind: "conflict", method: "PUT", times: 1 } },
];
/** @type {{[kind: string]: string}} */
const KINDS = {
  status: "Answer with an error",
  delay: "Answer late",
  "drop-before": "Close the connection before",
  "drop-after": "Handle it, and lose the answer",
  truncate: "Cut the answer short",
  conflict: "Conflict with another change",
};
const METHODS = ["*", "GET", "POST", "PUT", "DELETE"];

/** The section of faults. */
export class Faults {
  #complain;
  #refreshSoon;

  /** @param {(error: unknown) => void} complain */
  constructor(complain) {
    this.#complain = complain;
    this.#refreshSoon = coalesced(() => this.refresh().catch(complain), 150);
    byId("fault-presets").append(...PRESETS.map((preset) => this.#presetButton(preset)));
    byId("clear-faults").addEventListener("click", () => void this.#clear().catch(complain));
    this.#fillForm(/** @type {HTMLFormElement} */ (byId("fault-form")));
  }

  /** Something about them has changed: show it soon. */
  changed() {
    this.#refreshSoon();
  }

  async refresh() {
    this.#show(await call("GET", "/faults"));
  }

  async #clear() {
    await call("DELETE", "/faults");
    await this.refresh();
    announce("No fault is in force");
    const first = byId("fault-presets").querySelector("button");
    first?.focus();
  }

  /** @param {object} fault */
  async #inject(fault) {
    await call("POST", "/faults", fault);
    await this.refresh();
  }

  /** @param {{text: string, fault: object}} preset */
  #presetButton({ text, fault }) {
    return el(
      "button",
      { type: "button", click: () => void this.#inject(fault).catch(this.#complain) },
      text,
    );
  }

  /** @param {Injected[]} faults */
  #show(faults) {
    replaceChildren(byId("fault-list"), ...faults.map(item));
    byId("clear-faults").hidden = faults.length === 0;
    byId("no-faults").hidden = faults.length > 0;
  }

  /** @param {HTMLFormElement} form */
  #fillForm(form) {
    const options = Object.entries(KINDS).map(([kind, text]) => el("option", { value: kind }, text));
    const kind = el("select", { id: "fault-kind" }, ...options);
    const methods = METHODS.map((method) => el("option", {}, method));
    const method = el("select", { id: "fault-method" }, ...methods);
    const path = el("input", { id: "fault-path", value: "/rest/*", required: true, spellcheck: "false" });
    const status = number("fault-status", 429, 400, 599);
    const seconds = number("fault-seconds", 2, 0.1, 600, "any");
    const times = number("fault-times", "", 1, 1_000_000);
    const problem = el("p", { class: "problem", role: "alert" });
    const ofStatus = field("Status", status);
    const ofDelay = field("Seconds", seconds);
    const arrange = () => {
      ofStatus.hidden = status.disabled = kind.value !== "status";
      ofDelay.hidden = seconds.disabled = kind.value !== "delay";
    };
    kind.addEventListener("change", arrange);
    arrange();
    form.append(
      field("What goes wrong", kind),
      field("Method", method),
      field("Path", path),
      ofStatus,
      ofDelay,
      field("How often (empty: always)", times),
      problem,
      el("button", { type: "submit", class: "primary" }, "Add this fault"),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const asked = { kind: kind.value, method: method.value, path: path.value };
      try {
        await this.#inject({
          ...asked,
          ...(kind.value === "status" ? { status: Number(status.value) } : {}),
          ...(kind.value === "delay" ? { seconds: Number(seconds.value) } : {}),
          ...(times.value ? { times: Number(times.value) } : {}),
        });
        problem.textContent = "";
      } catch (error) {
        if (error instanceof RefusedError) problem.textContent = error.message;
        else this.#complain(error);
      }
    });
  }
}

/**
 * @param {string} id
 * @param {number | string} value
 * @param {number} min
 * @param {number} max
 */
function number(id, value, min, max, step = "1") {
  return el("input", { type: "number", id, value, min, max, step });
}

/**
 * @param {string} label
 * @param {HTMLElement} input
 */
function field(label, input) {
  return el("p", { class: "field" }, el("label", { for: input.id }, label), input);
}

/** @param {Injected} injected */
function item({ fault, matched, struck }) {
  const isOver = fault.times !== undefined && struck >= fault.times;
  const often = fault.times === undefined ? "" : ` of ${fault.times}`;
  return el(
    "li",
    { class: isOver ? "over" : "" },
    el("span", {}, `${KINDS[fault.kind] ?? fault.kind}${details(fault)}`),
    el("code", {}, `${fault.method} ${fault.path}`),
    el("span", { class: "muted" }, `struck ${struck}${often}, matched ${matched}${isOver ? ", over" : ""}`),
  );
}

/** @param {Fault} fault */
function details({ status, seconds, nth }) {
  const parts = [
    status === undefined ? "" : `: ${status}`,
    seconds === undefined ? "" : `: ${seconds} s`,
    nth === undefined ? "" : `, no. ${nth.join(", ")}`,
  ];
  return parts.join("");
}
