/** @file Guards for JSON of unknown shape: records are shown even where they are malformed. */

/** @typedef {{[name: string]: unknown}} Json */

/**
 * @param {unknown} value
 * @returns {value is Json}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {Json} an empty one where it is something else
 */
export function asObject(value) {
  return isObject(value) ? value : {};
}

/**
 * @param {unknown} value
 * @returns {unknown[]} an empty one where it is something else
 */
export function asList(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * Return a member that the object itself has: a record may have one of any name.
 *
 * @param {unknown} object
 * @param {string} name
 * @returns {unknown}
 */
export function member(object, name) {
  return isObject(object) && Object.hasOwn(object, name) ? object[name] : undefined;
}

/**
 * Return the JSON Pointer (RFC 6901) to a member: a record may have one of any name.
 *
 * @param {string} path of what it is a member of
 * @param {string | number} name
 * @returns {string}
 */
export function pointer(path, name) {
  return `${path}/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}
