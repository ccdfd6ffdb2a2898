// The sample on which a person marks: the first picture that the browser can show, or another one. Where the browser can
// show none of them, the service shows the first that is sent.

import { notifyError } from "../frame/notices.js";
import { Unusable } from "../files/unusable.js";

/** @import { QueuedFile, UploadQueue } from "../files/queue.js" */
/** @import { Marking } from "./marking.js" */

const MOST_TRIES = 8;

export class Samples {
  #queue;
  #marking;
  #index = 0;
  #requests = 0;
  /** @type {QueuedFile | null} A picture that only the service can show. */
  #unshown = null;

  /**
   * @param {UploadQueue} queue
   * @param {Marking} marking
   */
  constructor(queue, marking) {
    this.#queue = queue;
    this.#marking = marking;
  }

  /**
   * Show the first picture from the index `from` on that the browser can show. A later request replaces this one.
   * @param {number} [from]
   */
  async show(from = 0) {
    const mine = (this.#requests += 1);
    for (const [index, file] of this.#queue.files.slice(from, from + MOST_TRIES).entries()) {
      try {
        await this.#marking.show(await file.open(), file.path);
        if (mine === this.#requests) this.#index = from + index;
        return;
      } catch (error) {
        if (!(error instanceof Unusable)) throw error;
        if (error.serviceMayShow) this.#unshown ??= file;
        if (mine !== this.#requests) return;
      }
    }
  }

  /**
   * Show a file that is no picture of the job. Throws Unusable.
   * @param {File} file
   */
  async showOther(file) {
    this.#requests += 1;
    await this.#marking.show(file, file.name);
  }

  /** Show the next picture of the job. */
  async showNext() {
    await this.show((this.#index + 1) % this.#queue.files.length);
  }

  /** Let the service show a picture if the browser can show none and one is sent. */
  showSent() {
    const file = this.#unshown;
    if (!file?.id) return;
    this.#unshown = null;
    if (!this.#marking.sample) this.#showUploaded(file, file.id).catch(notifyError);
  }

  /**
   * @param {QueuedFile} file
   * @param {string} id
   */
  async #showUploaded(file, id) {
    await this.#marking.showUploaded(id, await file.open(), file.path);
  }
}
