// The queue of a job's files into the object store: a few at a time, with a pause.

import { isAbort } from "../frame/dom.js";
import { Problem } from "../net/api.js";
import { requestUploads, sendBytes } from "./upload.js";

/** @import { Upload } from "../net/answers.js" */
/** @import { CatalogueFile } from "./catalogue.js" */
/** @import { UploadMemory } from "./memory.js" */
/**
 * A file of the queue. `id` is null until the file is sent; `taken` while a sender has it, and after it; `refused` since the
 * service has named it as the fault of a request for many files.
 * @typedef {CatalogueFile & {
 *   id: string | null,
 *   bytes: number,
 *   error: unknown,
 *   upload: Upload | null,
 *   taken: boolean,
 *   refused: boolean,
 * }} QueuedFile
 */

const SENDERS = 4;
const UPLOADS_PER_REQUEST = 40;
const LINK_EXPIRED = 403;

export class UploadQueue {
  /** @type {QueuedFile[]} */
  files = [];
  paused = false;
  #memory;
  #onChange;
  #onWait;
  #senders = 0;
  #stop = new AbortController();
  /** @type {Promise<void> | null} */
  #requesting = null;
  #startedAt = 0;
  #sentBytes = 0;

  /**
   * @param {UploadMemory} memory
   * @param {{ onChange: () => void, onWait: (waiting: boolean) => void }} listeners `onWait`: the service is away
   */
  constructor(memory, { onChange, onWait }) {
    this.#memory = memory;
    this.#onChange = onChange;
    this.#onWait = onWait;
  }

  /**
   * Add files. Files that were sent before count as sent; paths that are queued already are ignored.
   * @param {CatalogueFile[]} files
   */
  add(files) {
    const paths = new Set(this.files.map(({ path }) => path));
    for (const file of files) {
      if (paths.has(file.path)) continue;
      paths.add(file.path);
      const id = this.#memory.idOf(file);
      this.files.push({ ...file, id, bytes: id ? file.size : 0, error: null, upload: null, taken: id !== null, refused: false });
    }
    this.#onChange();
    this.#startSenders();
  }

  pause() {
    this.paused = true;
    this.#stop.abort();
    this.#onChange();
  }

  /** Go on after a pause, and retry the files that failed. */
  resume() {
    this.paused = false;
    for (const file of this.files) {
      if (file.error) Object.assign(file, { taken: false, error: null });
    }
    this.#onChange();
    this.#startSenders();
  }

  /** Drop all files. */
  clear() {
    this.#stop.abort();
    this.files = [];
    this.paused = false;
    this.#onChange();
  }

  /** Send all files again: the service does not have them any more. */
  renew() {
    this.#memory.forget(this.files);
    for (const file of this.files) Object.assign(file, { id: null, upload: null, taken: false, bytes: 0 });
    this.resume();
  }

  /** Bytes and files sent, files that failed, and the seconds left, null while unknown. */
  get figures() {
    const total = this.files.reduce((sum, file) => sum + file.size, 0);
    const sent = this.files.reduce((sum, file) => sum + file.bytes, 0);
    const count = this.files.filter((file) => file.id).length;
    const failed = this.files.filter((file) => file.error);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const rate = this.#sentBytes && seconds > 1 ? this.#sentBytes / seconds : 0;
    return { total, sent, count, failed, secondsLeft: rate ? (total - sent) / rate : null, complete: count === this.files.length };
  }

  /** Start senders for the files that nobody has. Stopped senders end first; the last of them starts new ones. */
  #startSenders() {
    if (this.paused || (this.#senders && this.#stop.signal.aborted)) return;
    if (!this.#senders) {
      [this.#startedAt, this.#sentBytes] = [performance.now(), 0];
      this.#stop = new AbortController();
    }
    while (this.#senders < SENDERS && this.files.some((file) => !file.taken)) {
      this.#senders += 1;
      void this.#sendAll(this.#stop.signal).finally(() => {
        this.#senders -= 1;
        this.#startSenders();
        this.#onChange();
      });
    }
  }

  /**
   * Send one file after the other; a file keeps its own error.
   * @param {AbortSignal} signal
   */
  async #sendAll(signal) {
    for (let file; !signal.aborted && (file = this.files.find((one) => !one.taken)); ) {
      file.taken = true;
      try {
        await this.#send(file, signal);
      } catch (error) {
        file.bytes = 0;
        if (isAbort(error)) file.taken = false;
        else file.error = error;
      }
      this.#onChange();
    }
  }

  /**
   * @param {QueuedFile} file
   * @param {AbortSignal} signal
   */
  async #send(file, signal) {
    const blob = await file.open();
    for (let again = true; ; again = false) {
      const upload = await this.#uploadOf(file, signal);
      let before = 0;
      const onProgress = (/** @type {number} */ share) => {
        file.bytes = share * file.size;
        this.#sentBytes += file.bytes - before;
        before = file.bytes;
        this.#onChange();
      };
      try {
        await sendBytes(upload, blob, { onProgress, onWait: this.#onWait, signal });
        file.id = upload.id;
        file.bytes = file.size;
        this.#memory.remember(file, upload.id);
        return;
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== LINK_EXPIRED || !again) throw error;
      }
    }
  }

  /**
   * Take the upload of a file; one request serves many files.
   * @param {QueuedFile} file
   * @param {AbortSignal} signal
   */
  async #uploadOf(file, signal) {
    while (!file.upload) {
      if (this.#requesting) {
        await this.#requesting.catch(() => {}); // an error of another file's request: this file makes its own
        signal.throwIfAborted();
      } else {
        this.#requesting = this.#request(file, signal).finally(() => (this.#requesting = null));
        await this.#requesting;
      }
    }
    const { upload } = file;
    file.upload = null;
    return upload;
  }

  /**
   * Request uploads for a file and for others that wait. A file that the service refuses spoils no request but its own.
   * @param {QueuedFile} first
   * @param {AbortSignal} signal
   */
  async #request(first, signal) {
    const others = this.files.filter((file) => file !== first && !file.taken && !file.upload && !file.id && !file.refused);
    const batch = [first, ...others].slice(0, UPLOADS_PER_REQUEST);
    const named = batch.map(({ path, size }) => ({ name: path.split("/").at(-1) ?? path, blob: { size, type: "" } }));
    try {
      const uploads = await requestUploads(named, { signal, onWait: this.#onWait });
      batch.forEach((file, index) => (file.upload = uploads[index] ?? null));
    } catch (error) {
      const refused = refusedIndices(error).map((index) => batch[index]).filter((file) => file !== undefined);
      if (!refused.length || refused.includes(first)) throw error;
      for (const file of refused) file.refused = true;
      await this.#request(first, signal);
    }
  }
}

/**
 * The indices of the files that a refused request names as its faults.
 * @param {unknown} error
 */
function refusedIndices(error) {
  const faults = error instanceof Problem ? error.errors : [];
  return faults.map(({ pointer }) => Number(/^#\/files\/(\d+)(\/|$)/.exec(pointer ?? "")?.[1] ?? NaN)).filter(Number.isInteger);
}
