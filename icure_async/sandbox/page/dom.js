/** @file Elements, made of text only: no data is ever read as HTML. */

/** @typedef {Node | string | number | null | undefined | false} Child */

const REST = 5;

/**
 * Make an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {{[name: string]: string | number | boolean | ((event: Event) => void) | undefined}} [attributes]
 *     functions listen to the event of their name
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter(isChild).map((child) => toNode(child)));
  return element;
}

/**
 * @param {Child} child
 * @returns {child is Node | string | number}
 */
function isChild(child) {
  return child !== null && child !== undefined && child !== false;
}

/** @param {Node | string | number} child */
function toNode(child) {
  return typeof child === "number" ? String(child) : child;
}

/**
 * Return an element of the page by its id.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no element ${id}`);
  return element;
}

/**
 * Replace the children of an element, and keep the focus where it was.
 *
 * Children that may have the focus carry `data-key`.
 *
 * @param {HTMLElement} parent
 * @param {...Child} children
 */
export function replaceChildren(parent, ...children) {
  const focused = document.activeElement;
  const key = parent.contains(focused) ? focused?.getAttribute("data-key") : null;
  parent.replaceChildren(...children.filter(isChild).map((child) => toNode(child)));
  if (key) {
    for (const candidate of parent.querySelectorAll("[data-key]")) {
      if (candidate instanceof HTMLElement && candidate.dataset.key === key) candidate.focus();
    }
  }
}

/**
 * Return a function that calls another one soon, once for all calls until then.
 *
 * A call that takes long is followed by a pause: the sandbox has others to serve.
 *
 * @param {() => void | Promise<void>} call
 * @param {number} milliseconds
 * @returns {() => void}
 */
export function coalesced(call, milliseconds) {
  let isAsked = false;
  let isBusy = false;
  const start = (/** @type {number} */ pause) => {
    isBusy = true;
    setTimeout(async () => {
      isAsked = false;
      const began = performance.now();
      await call();
      isBusy = false;
      if (isAsked) start(Math.max(milliseconds, REST * (performance.now() - began)));
    }, pause);
  };
  return () => {
    isAsked = true;
    if (!isBusy) start(milliseconds);
  };
}

/**
 * Tell users of screen readers.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announcements").textContent = text;
}
