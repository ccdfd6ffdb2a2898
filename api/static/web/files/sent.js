// What was sent and is not in a job yet, remembered by the browser (IndexedDB): a page that is opened again sends only what
// is missing.

const STORE = "sent";

export class Sent {
  #name;
  #database = null;
  #known = new Map();
  #keptMs;

  /** `owner` has files of its own; the service forgets uploads after `keptMs`. */
  constructor(owner, keptMs) {
    this.#name = `cleanplate-${owner}`;
    this.#keptMs = keptMs;
  }

  /** Read what is known. Where the browser keeps nothing, as in some private windows, nothing is. */
  async open() {
    try {
      const opening = indexedDB.open(this.#name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "key" });
      this.#database = await done(opening);
    } catch {
      return;
    }
    const soonest = Date.now() - this.#keptMs;
    for (const one of await done(this.#store("readonly").getAll())) {
      if (one.at > soonest) this.#known.set(one.key, one);
      else this.forget([one]);
    }
  }

  get count() {
    return this.#known.size;
  }

  /** The upload's id of a file that was sent already. */
  idOf(file) {
    return this.#known.get(keyOf(file))?.id ?? null;
  }

  remember(file) {
    const one = { key: keyOf(file), id: file.id, at: Date.now() };
    this.#known.set(one.key, one);
    this.#store("readwrite")?.put(one);
  }

  /** Of files, or of all. */
  forget(files = [...this.#known.values()]) {
    const store = this.#store("readwrite");
    for (const file of files) {
      const key = file.key ?? keyOf(file);
      this.#known.delete(key);
      store?.delete(key);
    }
  }

  #store(mode) {
    return this.#database?.transaction(STORE, mode).objectStore(STORE);
  }
}

function keyOf({ path, size, modified }) {
  return `${path}\n${size}\n${modified}`;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
