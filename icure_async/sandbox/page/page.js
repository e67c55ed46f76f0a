/** @file The page: its sections, and what happens in the sandbox, brought to them. */

import { AwayError, call, LockedError, RefusedError } from "./api.js";
import { Clock } from "./clock.js";
import { Codes } from "./codes.js";
import { showDialog } from "./dialogs.js";
import { announce, byId, el } from "./dom.js";
import { Faults } from "./faults.js";
import { follow } from "./follow.js";
import { Records } from "./records.js";
import { Requests } from "./requests.js";
import { forgetToken, storedToken, takeToken, wasForgotten } from "./token.js";

/** @typedef {"opening" | "open" | "away" | "locked"} State */

const STATUS = { opening: "Connecting", open: "Live", away: "Not running", locked: "No access" };
const AWAY =
  "The sandbox does not answer. This page goes on by itself as soon as it is back; when it was " +
  "started anew, it asks for the new link.";
const NO_TOKEN = "It was opened without the token that the sandbox has printed.";
const OLD_TOKEN =
  "Its token opens nothing here: the sandbox was started again, or the link was cut off.";

const clock = new Clock(complain);
const codes = new Codes(clock);
const requests = new Requests();
const records = new Records(complain);
const faults = new Faults(complain);

/** Ask for everything that the page shows. */
async function showAll() {
  const [time, messages, noted] = await Promise.all([
    call("GET", "/clock"),
    call("GET", "/messages"),
    call("GET", "/requests"),
    records.refresh(),
    faults.refresh(),
  ]);
  clock.set(time.now);
  codes.replace(messages);
  requests.replace(noted);
}

/** @type {{[event: string]: (data: any) => void}} */
const HAPPENINGS = {
  message: (message) => codes.add(message),
  used: (end) => codes.end(end),
  request: (request) => {
    requests.add(request);
    if (request.fault) faults.changed();
  },
  data: () => records.changed(),
  clock: ({ now }) => clock.set(now),
  faults: () => faults.changed(),
  reset: () => {
    records.reset();
    void showAll().catch(complain);
  },
};

/** @param {State} state */
function show(state) {
  if (document.body.dataset.state === state) return;
  const before = document.body.dataset.state;
  document.body.dataset.state = state;
  byId("status-text").textContent = STATUS[state];
  byId("main").hidden = state === "locked" || (state === "away" && before === "opening");
  byId("locked").hidden = state !== "locked";
  byId("away").hidden = state !== "away";
  byId("away").textContent = state === "away" ? AWAY : "";
  if (before === "away" && state === "open") announce("The sandbox is back");
}

/** @param {string} reason */
function lock(reason) {
  byId("locked-reason").textContent = reason;
  show("locked");
  byId("locked-title").focus();
}

/**
 * Say that something could not be done.
 *
 * @param {unknown} error
 */
function complain(error) {
  // The events, which the page follows, tell when these two begin and end.
  if (error instanceof AwayError || error instanceof LockedError) return;
  if (!(error instanceof RefusedError)) throw error;
  const message = error.message;
  void showDialog({
    title: "The sandbox refused this",
    content: [el("p", {}, message)],
    action: "All right",
    act: async () => null,
  });
}

function askToReset() {
  return showDialog({
    title: "Reset the sandbox?",
    content: [
      el(
        "p",
        {},
        "All people, records, messages, faults and requests are forgotten, and the clock shows the " +
          "present time again. The sandbox is then as it was when it had started.",
      ),
    ],
    action: "Reset",
    isGrave: true,
    act: async () => {
      try {
        await call("POST", "/reset");
        return null;
      } catch (error) {
        if (error instanceof RefusedError) return error.message;
        return "The sandbox does not answer. Try again when it is back.";
      }
    },
  });
}

function begin() {
  if (!storedToken()) return lock(wasForgotten() ? OLD_TOKEN : NO_TOKEN);
  void follow({
    opened: async () => {
      await showAll();
      show("open");
    },
    happened: (event, data) => HAPPENINGS[event]?.(data),
    away: () => show("away"),
    locked: () => {
      forgetToken();
      // Nothing of the former sandbox stays, and no private key.
      location.reload();
    },
  });
}

byId("reset").addEventListener("click", () => void askToReset());
// Somebody pastes the new link into the address bar of this tab.
addEventListener("hashchange", () => {
  if (takeToken()) location.reload();
});
takeToken();
begin();
