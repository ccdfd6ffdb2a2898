// The browser's memory (IndexedDB) of files that are sent and in no job yet: a page that is opened again sends only the
// missing ones.

const STORE = "sent";

/** @import { CatalogueFile } from "./catalogue.js" */
/** @typedef {Pick<CatalogueFile, "path" | "size" | "modified">} FileIdentity */
/** @typedef {{ key: string, id: string, at: number }} Entry `at` is when it was sent, in milliseconds since 1970 */

export class UploadMemory {
  #name;
  #keptMs;
  /** @type {IDBDatabase | null} Null where the browser keeps nothing: then the memory lasts as long as the page. */
  #database = null;
  /** @type {Map<string, Entry>} */
  #entries = new Map();

  /**
   * @param {string} owner each has entries of its own
   * @param {number} keptMs the service forgets uploads after this time
   */
  constructor(owner, keptMs) {
    this.#name = `cleanplate-${owner}`;
    this.#keptMs = keptMs;
  }

  /** Read the entries; those that are too old are forgotten. */
  async open() {
    try {
      const opening = indexedDB.open(this.#name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "key" });
      const database = await settle(opening);
      database.onclose = () => (this.#database = null);
      this.#database = database;
      await this.#read(database);
    } catch (error) {
      this.#database = null;
      console.warn("The browser keeps no memory of what was sent.", error); // as in some private windows
    }
  }

  get count() {
    return this.#entries.size;
  }

  /**
   * The upload's id of a file that was sent, or null.
   * @param {FileIdentity} file
   */
  idOf(file) {
    return this.#entries.get(keyOf(file))?.id ?? null;
  }

  /**
   * @param {FileIdentity} file
   * @param {string} id of its upload
   */
  remember(file, id) {
    const entry = { key: keyOf(file), id, at: Date.now() };
    this.#entries.set(entry.key, entry);
    this.#store("readwrite")?.put(entry);
  }

  /** @param {FileIdentity[]} files */
  forget(files) {
    this.#delete(files.map(keyOf));
  }

  forgetAll() {
    this.#delete([...this.#entries.keys()]);
  }

  /** @param {IDBDatabase} database */
  async #read(database) {
    const oldest = Date.now() - this.#keptMs;
    const entries = /** @type {Entry[]} */ (await settle(database.transaction(STORE, "readonly").objectStore(STORE).getAll()));
    for (const entry of entries) if (entry.at > oldest) this.#entries.set(entry.key, entry);
    this.#delete(entries.filter((entry) => entry.at <= oldest).map((entry) => entry.key));
  }

  /** @param {string[]} keys */
  #delete(keys) {
    const store = keys.length ? this.#store("readwrite") : undefined;
    for (const key of keys) {
      this.#entries.delete(key);
      store?.delete(key);
    }
  }

  /** @param {IDBTransactionMode} mode */
  #store(mode) {
    return this.#database?.transaction(STORE, mode).objectStore(STORE);
  }
}

/** @param {FileIdentity} file */
function keyOf({ path, size, modified }) {
  return `${path}\n${size}\n${modified}`;
}

/**
 * The result of a request to the database.
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => { resolve(request.result); };
    request.onerror = () => { reject(request.error ?? new Error("The database failed.")); };
  });
}
