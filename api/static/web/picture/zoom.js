// A pair compared closely, in a dialog: first its preview, then the whole pictures.

import { buttonById, byId, dialogById, isAbort } from "../frame/dom.js";
import { t } from "../words/texts.js";
import { changedShare } from "./changes.js";
import { PairStage } from "./pairstage.js";

/** @import { Pair } from "./pairs.js" */

export class Zoom {
  #dialog = dialogById("zoom");
  #stage = new PairStage();
  /** @type {Pair[]} */
  #pairs = [];
  /** @type {Pair | null} */
  #current = null;
  /** @type {AbortController | null} */
  #loading = null;

  constructor() {
    const clicks = {
      "zoom-close": () => { this.#dialog.close(); },
      "zoom-previous": () => { this.#step(-1); },
      "zoom-next": () => { this.#step(1); },
    };
    for (const [id, act] of Object.entries(clicks)) buttonById(id).addEventListener("click", act);
    this.#dialog.addEventListener("keydown", (event) => {
      if (this.#onKey(event.key)) event.preventDefault();
    });
    this.#dialog.addEventListener("close", () => {
      this.#loading?.abort();
      this.#stage.rest();
      this.#current = null;
    });
  }

  /**
   * Show a pair; the keys step through the others. The dialog shows errors itself.
   * @param {Pair} pair
   * @param {Pair[]} pairs
   */
  async open(pair, pairs) {
    if (!this.#dialog.open) {
      this.#stage.center();
      this.#dialog.showModal();
    }
    this.#loading?.abort();
    const { signal } = (this.#loading = new AbortController());
    [this.#current, this.#pairs] = [pair, pairs];
    this.#showFrame(pair);
    const note = byId("pair-note");
    note.textContent = t("Loading…");
    try {
      const preview = await pair.openPreview(signal);
      signal.throwIfAborted(); // another pair is shown by now
      this.#stage.show(preview);
      this.#stage.lookAt(changedShare(...preview));
      const text = await this.#openWhole(pair, signal);
      signal.throwIfAborted();
      note.textContent = text;
    } catch (error) {
      if (signal.aborted) return;
      console.warn(error);
      note.textContent = t("The picture cannot be shown");
    }
  }

  /** @param {Pair} pair */
  #showFrame(pair) {
    const download = byId("zoom-download", HTMLAnchorElement);
    byId("zoom-name").textContent = pair.name;
    byId("zoom-facts").textContent = pair.facts;
    download.hidden = !pair.download;
    if (pair.download) download.href = pair.download;
    const index = this.#index;
    buttonById("zoom-previous").disabled = index <= 0;
    buttonById("zoom-next").disabled = index < 0 || index === this.#pairs.length - 1;
  }

  /**
   * Show the whole pictures if the browser can. Resolves to the note for the reader.
   * @param {Pair} pair
   * @param {AbortSignal} signal
   */
  async #openWhole(pair, signal) {
    if (!pair.openWhole) return pair.hint;
    try {
      const whole = await pair.openWhole(signal);
      signal.throwIfAborted();
      this.#stage.show(whole);
      return t("Drag the picture to move it, the divider to compare; the wheel enlarges.");
    } catch (error) {
      if (isAbort(error)) throw error;
      return pair.hint;
    }
  }

  get #index() {
    return this.#pairs.findIndex((pair) => pair.key === this.#current?.key);
  }

  /** @param {number} by */
  #step(by) {
    const next = this.#pairs[this.#index + by];
    if (next) void this.open(next, this.#pairs);
  }

  /**
   * @param {string} key
   * @returns {boolean} whether the key did anything
   */
  #onKey(key) {
    if (key === "PageUp" || key === "k") this.#step(-1);
    else if (key === "PageDown" || key === "j") this.#step(1);
    else return this.#stage.onKey(key);
    return true;
  }
}
