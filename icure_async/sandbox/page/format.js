/** @file Times and lengths of time, as people read them. */

const TIME = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/**
 * @param {number} milliseconds since the epoch
 * @returns {string} the time of day
 */
export function timeOf(milliseconds) {
  return Number.isFinite(milliseconds) ? TIME.format(milliseconds) : "";
}

/**
 * @param {number} milliseconds
 * @returns {string} minutes and seconds, like a timer
 */
export function countdown(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const tail = String(seconds % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/**
 * @param {number} milliseconds
 * @returns {string} the largest units
 */
export function duration(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 1) return `${Math.round(milliseconds / 1000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

/**
 * @param {string} id
 * @returns {string} enough of it to tell it from others
 */
export function shortId(id) {
  return id.length > 13 ? `${id.slice(0, 8)}…` : id;
}
