/** @file The names of kinds and of records, as people know them. */

import { asList, asObject, isObject } from "./crypto/shapes.js";

/** @typedef {import("./crypto/shapes.js").Json} Json */

/** @type {{[kind: string]: {one: string, many: string}}} */
const KINDS = {
  user: { one: "user", many: "Users" },
  patient: { one: "patient", many: "Patients" },
  hcparty: { one: "professional", many: "Professionals" },
  device: { one: "device", many: "Devices" },
  helement: { one: "condition", many: "Conditions" },
  contact: { one: "contact", many: "Contacts" },
  document: { one: "document", many: "Documents" },
  maintenancetask: { one: "notification", many: "Notifications" },
  exchangedata: { one: "exchange data", many: "Exchange data" },
  exchangedatamap: { one: "exchange data map", many: "Exchange data maps" },
  code: { one: "coding", many: "Codings" },
  recoverydata: { one: "recovery data", many: "Recovery data" },
  securedelegationkeymap: { one: "delegation key map", many: "Delegation key maps" },
};

/** The kinds that are shown even where there are none. */
export const ALWAYS = ["user", "patient"];

/**
 * @param {Iterable<string>} kinds
 * @returns {string[]} in the order that they are shown in
 */
export function inOrder(kinds) {
  const places = Object.keys(KINDS);
  return [...kinds].sort((a, b) => place(places, a) - place(places, b));
}

/**
 * @param {string[]} places
 * @param {string} kind
 */
function place(places, kind) {
  return places.includes(kind) ? places.indexOf(kind) : places.length;
}

/** @param {string} kind */
export function oneOf(kind) {
  return KINDS[kind]?.one ?? kind;
}

/** @param {string} kind */
export function manyOf(kind) {
  return KINDS[kind]?.many ?? kind;
}

/**
 * @param {Json} record
 * @returns {string} an empty text where the record has no name
 */
export function nameOf(record) {
  const parts = [record.firstName, record.lastName].filter(isText);
  if (parts.length > 0) return parts.join(" ");
  const names = [record.name, record.login, record.email, record.mobilePhone, record.taskType];
  const label = asObject(record.label);
  return [...names, label.en, record.label, record.descr].find(isText) ?? "";
}

/**
 * @param {Json} record
 * @returns {string} the facts that tell it from records of the same name
 */
export function factsOf(record) {
  const telecoms = asList(record.addresses)
    .flatMap((address) => asList(asObject(address).telecoms))
    .map((telecom) => asObject(telecom).telecomNumber);
  const found = [record.mobilePhone, record.email, ...telecoms].filter(isText);
  return [...new Set(found)].filter((fact) => fact !== nameOf(record)).join(" · ");
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
function isText(value) {
  return typeof value === "string" && value.trim() !== "";
}

/**
 * @param {Json} owner
 * @returns {string[]} the public keys that a data owner publishes
 */
export function publicKeysOf(owner) {
  const legacy = isObject(owner.aesExchangeKeys) ? Object.keys(owner.aesExchangeKeys) : [];
  return [owner.publicKey, ...legacy, ...asList(owner.publicKeysForOaepWithSha256)].filter(isText);
}
