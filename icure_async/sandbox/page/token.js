/**
 * @file The token of the page's link. It comes in the fragment, which browsers send nowhere, and
 * leaves the address bar at once. It stays in this tab.
 */

const NAME = "icure-sandbox-token";

/**
 * Take the token out of the address, where there is one.
 *
 * @returns {boolean} whether there was one
 */
export function takeToken() {
  const token = decoded(location.hash.slice(1));
  // Other fragments are places in the page.
  if (token.length < 16) return false;
  sessionStorage.setItem(NAME, token);
  history.replaceState(null, "", location.pathname);
  return true;
}

/** @returns {string} an empty text where there is none */
export function storedToken() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Forget a token that opens nothing, but not that there was one. */
export function forgetToken() {
  sessionStorage.setItem(NAME, "");
}

/** @returns {boolean} whether the last token opened nothing */
export function wasForgotten() {
  return sessionStorage.getItem(NAME) === "";
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
