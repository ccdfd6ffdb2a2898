// The browser's memory (IndexedDB) of the pictures on the page of one picture: files, steps and paint outlive a reload, a
// crash and a closed tab. Each tab owns its works by a lock; a tab takes over works whose owner is gone.

/** @import { FileRecord, WorkRecord } from "../picture/work.js" */
/** @typedef {{ record: WorkRecord, files: FileRecord[] }} Kept */

const WORKS = "works";
const FILES = "files";
const TAB = "cleanplate-tab";
const ADOPTING = "cleanplate-adopting";
const KEPT_MS = 14 * 24 * 3600 * 1000;
const RELOAD_MS = 2000; // the lock of a page that is being reloaded becomes free within this time

export class Shelf {
  #name;
  /** @type {IDBDatabase | null} */
  #database = null;
  #owner = "";
  #pending = 0;
  #onFailure;
  /** @type {Map<string, WorkRecord>} The newest state of each work that waits for the write of an older one. */
  #waiting = new Map();
  /** @type {Set<string>} Works with a write under way. */
  #writing = new Set();

  /** Whether everything is kept, or is about to be. */
  isReliable = false;

  /**
   * @param {string} person each has pictures of their own
   * @param {(error: unknown) => void} onFailure runs when something cannot be kept
   */
  constructor(person, onFailure) {
    this.#name = `cleanplate-works-${person}`;
    this.#onFailure = onFailure;
  }

  /**
   * Open the memory and take the works of this tab and of tabs that are gone, oldest first. Works that are too old are
   * forgotten.
   * @returns {Promise<Kept[]>}
   */
  async open() {
    try {
      this.#owner = await ownName();
      const opening = indexedDB.open(this.#name, 1);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore(WORKS, { keyPath: "id" });
        opening.result.createObjectStore(FILES, { keyPath: "id" }).createIndex("work", "work");
      };
      const database = (this.#database = await settled(opening));
      database.onclose = () => {
        this.#database = null;
        this.isReliable = false;
      };
      this.isReliable = true;
      return await exclusively(() => this.#adopt(database));
    } catch (error) {
      this.#fail(error);
      return [];
    }
  }

  /** The name of this tab, which its works carry. */
  get owner() {
    return this.#owner;
  }

  /** Whether something is being written. */
  get isWriting() {
    return this.#pending > 0 || this.#waiting.size > 0;
  }

  /**
   * Keep a work, with files that are new in it.
   * @param {WorkRecord} record
   * @param {FileRecord[]} [files]
   */
  keep(record, files = []) {
    if (files.length) {
      this.#waiting.delete(record.id); // it is older
      void this.#write((works, store) => {
        for (const file of files) store.put(file);
        works.put(record);
      });
    } else if (this.#writing.has(record.id)) this.#waiting.set(record.id, record);
    else void this.#keepSoon(record);
  }

  /**
   * Forget a work with its files.
   * @param {string} id
   */
  forget(id) {
    this.#waiting.delete(id);
    void this.#write((works, files) => {
      works.delete(id);
      deleteFiles(files, id);
    });
  }

  /**
   * Write a record, then the newest one that came meanwhile.
   * @param {WorkRecord} record
   */
  async #keepSoon(record) {
    this.#writing.add(record.id);
    await this.#write((works) => { works.put(record); });
    this.#writing.delete(record.id);
    const next = this.#waiting.get(record.id);
    this.#waiting.delete(record.id);
    if (next) await this.#keepSoon(next);
  }

  /** @param {(works: IDBObjectStore, files: IDBObjectStore) => void} change */
  async #write(change) {
    if (!this.#database) return;
    this.#pending += 1;
    try {
      const transaction = this.#database.transaction([WORKS, FILES], "readwrite");
      change(transaction.objectStore(WORKS), transaction.objectStore(FILES));
      await completed(transaction);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pending -= 1;
    }
  }

  /**
   * @param {IDBDatabase} database
   * @returns {Promise<Kept[]>}
   */
  async #adopt(database) {
    const others = await liveTabs();
    const transaction = database.transaction([WORKS, FILES], "readwrite");
    const [works, files] = [transaction.objectStore(WORKS), transaction.objectStore(FILES)];
    const oldest = Date.now() - KEPT_MS;
    /** @type {Kept[]} */
    const adopted = [];
    for (const record of /** @type {WorkRecord[]} */ (await settled(works.getAll()))) {
      if (record.owner !== this.#owner && others.has(record.owner)) continue;
      if (record.at < oldest) {
        works.delete(record.id);
        deleteFiles(files, record.id);
        continue;
      }
      works.put({ ...record, owner: this.#owner });
      /** @type {unknown[]} */
      const kept = await settled(files.index("work").getAll(record.id));
      adopted.push({ record, files: /** @type {FileRecord[]} */ (kept) });
    }
    await completed(transaction);
    return adopted.sort((one, other) => one.record.at - other.record.at);
  }

  /** @param {unknown} error */
  #fail(error) {
    this.isReliable = false;
    this.#onFailure(error);
  }
}

/**
 * @param {IDBObjectStore} files
 * @param {string} work
 */
function deleteFiles(files, work) {
  const reading = files.index("work").getAllKeys(work);
  reading.onsuccess = () => {
    for (const key of reading.result) files.delete(key);
  };
}

/** The name of this tab: the one that it had before a reload, unless another tab has it, as a duplicate's. */
async function ownName() {
  const known = sessionStorage.getItem(TAB);
  const name = known && (await holdLock(known, RELOAD_MS)) ? known : crypto.randomUUID();
  if (name !== known) await holdLock(name, RELOAD_MS);
  sessionStorage.setItem(TAB, name);
  return name;
}

/**
 * Hold a tab's lock until the page is gone. Resolves to whether it was free in time.
 * @param {string} name
 * @param {number} withinMs
 * @returns {Promise<boolean>}
 */
function holdLock(name, withinMs) {
  return new Promise((resolve) => {
    const hold = () => {
      resolve(true);
      return new Promise(() => {}); // the browser releases it with the page
    };
    navigator.locks.request(`${TAB}-${name}`, { signal: AbortSignal.timeout(withinMs) }, hold).catch(() => { resolve(false); });
  });
}

/** The names of the tabs that are open. */
async function liveTabs() {
  const { held = [] } = await navigator.locks.query();
  return new Set(held.map(({ name = "" }) => name.slice(TAB.length + 1)));
}

/**
 * @template T
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 */
async function exclusively(act) {
  return navigator.locks.request(ADOPTING, act);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => { resolve(request.result); };
    request.onerror = () => { reject(request.error ?? new Error("The database failed.")); };
  });
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => { resolve(); };
    transaction.onabort = () => { reject(transaction.error ?? new Error("The database gave up.")); };
  });
}
