// The sample on which a mark is shown: the first picture that the browser can show, or another one. Where it can show
// none of them, the service shows the first that is sent.

import { notifyOf } from "../frame/notices.js";
import { Unusable } from "../picture/picture.js";

const TRIED = 8;

export class Samples {
  #shipment;
  #marking;
  #at = 0;
  #asked = 0;
  #unseen = null; // a picture that the browser cannot show

  constructor(shipment, marking) {
    this.#shipment = shipment;
    this.#marking = marking;
  }

  /** Show the first picture from `from` on that the browser can show, unless another is asked for meanwhile. */
  async show(from = 0) {
    const mine = (this.#asked += 1);
    for (const [index, file] of this.#shipment.files.slice(from, from + TRIED).entries()) {
      try {
        await this.#marking.show(await file.open(), file.path);
        if (mine === this.#asked) this.#at = from + index;
        return;
      } catch (error) {
        if (!(error instanceof Unusable)) throw error;
        if (error.unseen) this.#unseen ??= file;
        if (mine !== this.#asked) return;
      }
    }
  }

  /** Show a file that is no picture of the job. Throws Unusable. */
  async showOther(file) {
    this.#asked += 1;
    await this.#marking.show(file, file.name);
  }

  /** Another one than is shown. */
  async next() {
    await this.show((this.#at + 1) % this.#shipment.files.length);
  }

  /** Where the browser could show none and one is sent by now, let the service show it. */
  showSent() {
    if (!this.#unseen?.id) return;
    const { id, path, open } = this.#unseen;
    this.#unseen = null;
    if (this.#marking.sample) return;
    open().then((blob) => this.#marking.showUploaded(id, blob, path)).catch(notifyOf);
  }
}
