/** @file Requests to the sandbox's own API. */

import { storedToken } from "./token.js";

/** The token is missing, or of another start of the sandbox. */
export class LockedError extends Error {}

/** The sandbox is not there. */
export class AwayError extends Error {}

/** The sandbox refused a request; its message says why. */
export class RefusedError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Send a request, and return the answer when its headers are there.
 *
 * @param {string} method
 * @param {string} path below `/sandbox`
 * @param {{body?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 * @throws {LockedError | AwayError | RefusedError}
 */
export async function send(method, path, { body, signal } = {}) {
  /** @type {{[name: string]: string}} */
  const headers = { Authorization: `Sandbox ${storedToken()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, cache: "no-store", credentials: "omit", signal };
  const answer = await fetch(
    `/sandbox${path}`,
    /** @type {RequestInit} */ ({ ...request, body: body === undefined ? null : JSON.stringify(body) }),
  ).catch(() => {
    throw new AwayError();
  });
  if (answer.status === 401 || answer.status === 403) throw new LockedError();
  if (answer.status === 503) throw new AwayError();
  if (!answer.ok) throw new RefusedError(await messageOf(answer), answer.status);
  return answer;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>} the JSON of the answer
 */
export async function call(method, path, body) {
  const answer = await send(method, path, { body });
  try {
    return await answer.json();
  } catch {
    throw new AwayError();
  }
}

/** @param {Response} answer */
async function messageOf(answer) {
  try {
    const { message } = await answer.json();
    return typeof message === "string" ? message : `Status ${answer.status}`;
  } catch {
    return `Status ${answer.status}`;
  }
}
