/**
 * @file The events of the sandbox, followed for as long as the page is open.
 *
 * `EventSource` can't send the token in a header, so the stream is read here.
 */

import { AwayError, LockedError, RefusedError, send } from "./api.js";

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 2000;

/**
 * @typedef {object} Follower
 * @property {() => Promise<void>} opened called whenever the events begin to flow
 * @property {(event: string, data: any) => void} happened called with each event
 * @property {() => void} away called when the sandbox is not there
 * @property {() => void} locked called when the token opens nothing: the following has ended
 */

/**
 * Follow the events, again and again.
 *
 * @param {Follower} follower
 */
export async function follow(follower) {
  let pause = FIRST_PAUSE;
  for (;;) {
    try {
      const answer = await send("GET", "/events");
      const events = eventsIn(answer);
      // The stream is open: what happens while the page asks for the present state is in it.
      await follower.opened();
      pause = FIRST_PAUSE;
      for await (const { event, data } of events) follower.happened(event, data);
    } catch (error) {
      if (error instanceof LockedError) return follower.locked();
      if (!(error instanceof AwayError || error instanceof RefusedError)) throw error;
    }
    follower.away();
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  }
}

/**
 * @param {Response} answer
 * @returns {AsyncGenerator<{event: string, data: any}>}
 */
async function* eventsIn(answer) {
  let rest = "";
  for await (const text of textsIn(answer)) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const found = parsed(block);
      if (found !== null) yield found;
    }
  }
}

/**
 * @param {Response} answer
 * @returns {AsyncGenerator<string>}
 */
async function* textsIn(answer) {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (reader !== undefined) {
    const { value, done } = await reader.read().catch(() => {
      throw new AwayError();
    });
    if (done) return;
    yield value;
  }
}

/**
 * @param {string} block
 * @returns {{event: string, data: any} | null}
 */
function parsed(block) {
  let event = "";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice("event: ".length);
    if (line.startsWith("data: ")) data += line.slice("data: ".length);
  }
  return event === "" ? null : { event, data: data === "" ? null : JSON.parse(data) };
}
