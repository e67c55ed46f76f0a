/**
 * @file The documents that a reading needs besides the record. Each is asked for once.
 *
 * @typedef {import("./shapes.js").Json} Json
 * @typedef {object} Source
 * @property {(kind: string, id: string) => Promise<Json | null>} one a document as it is stored
 * @property {(kind: string) => Promise<Json[]>} all every document of a kind
 */

const OWNER_KINDS = ["patient", "hcparty", "device"];

/** Documents, each of them asked for once. */
export class Documents {
  /** @type {Map<string, Promise<unknown>>} */
  #asked = new Map();
  #source;

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
  }

  /**
   * @param {string} kind
   * @param {string} id
   * @returns {Promise<Json | null>}
   */
  one(kind, id) {
    return this.#once(`${kind} ${id}`, () => this.#source.one(kind, id));
  }

  /**
   * @param {string} kind
   * @returns {Promise<Json[]>}
   */
  all(kind) {
    return this.#once(kind, () => this.#source.all(kind));
  }

  /**
   * @param {string} id
   * @returns {Promise<Json | null>} the document of a data owner, whatever it is
   */
  async owner(id) {
    for (const kind of OWNER_KINDS) {
      const found = await this.one(kind, id);
      if (found !== null) return found;
    }
    return null;
  }

  /**
   * @template T
   * @param {string} name
   * @param {() => Promise<T>} ask
   * @returns {Promise<T>}
   */
  #once(name, ask) {
    const asked = this.#asked.get(name) ?? ask();
    this.#asked.set(name, asked);
    return /** @type {Promise<T>} */ (asked);
  }
}
