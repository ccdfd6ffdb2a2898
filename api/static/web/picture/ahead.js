// Pairs that are opened before a person comes to them: the next ones and the one before, first small, then whole.

import { callApi, retryWhileAway } from "../net/api.js";
import { changedShare } from "./changes.js";
import { pairOfImage } from "./pairs.js";

/** @import { Image } from "../net/answers.js" */
/** @import { Opened, Pair } from "./pairs.js" */
/** @import { Bounds } from "./strokes.js" */
/** @typedef {{ opened: Opened, changed: Bounds | null }} Small the preview, and the place that changed */

export class PairsAhead {
  /** @type {Map<string, Ahead>} */
  #pairs = new Map();
  #round = 0;

  /**
   * Open the pairs of these images, the first one first, and forget all others. A forgotten pair must not be on a stage.
   * @param {Image[]} images
   */
  keep(images) {
    const ids = new Set(images.map(({ id }) => id));
    for (const [id, pair] of this.#pairs) {
      if (ids.has(id)) continue;
      pair.forget();
      this.#pairs.delete(id);
    }
    const pairs = images.map((image) => this.of(image));
    void this.#openWholes(pairs);
  }

  /**
   * The pair of an image, which is being opened.
   * @param {Image} image
   */
  of(image) {
    const key = image.replaced_by ?? image.id;
    const known = this.#pairs.get(image.id);
    if (known?.key === key) return known;
    known?.forget();
    const pair = new Ahead(image, key);
    this.#pairs.set(image.id, pair);
    return pair;
  }

  /**
   * Whole pictures are large: they are fetched one pair after the other, until the person goes on.
   * @param {Ahead[]} pairs
   */
  async #openWholes(pairs) {
    const round = (this.#round += 1);
    for (const pair of pairs) {
      if (round !== this.#round) return;
      await pair.whole().catch(() => null); // whoever looks at this pair gets the error
    }
  }
}

/** One pair that is being opened. */
class Ahead {
  key;
  /** The best that is open by now; null before the preview is. @type {Opened | null} */
  ready = null;
  /** The place that changed. @type {Bounds | null} */
  changed = null;
  /** Null where the image has no pictures to compare. @type {Promise<Pair | null>} */
  pair;
  /** @type {Promise<Small | null>} */
  preview;
  /** @type {Promise<Opened | null> | null} */
  #whole = null;
  /** @type {Opened[]} */
  #opened = [];
  #aborting = new AbortController();

  /**
   * @param {Image} image
   * @param {string} key the id of the image whose result counts
   */
  constructor(image, key) {
    this.key = key;
    this.pair = key === image.id ? Promise.resolve(pairOfImage(image)) : this.#pairOfReplacement(key);
    this.preview = this.#openPreview();
    this.preview.catch(() => {}); // whoever looks at it gets the error
  }

  /** The whole pictures; null where the browser cannot show them or they are not kept. */
  async whole() {
    return (this.#whole ??= this.#openWhole());
  }

  /** Stop opening, and give the memory back. */
  forget() {
    this.#aborting.abort();
    for (const picture of this.#opened.flat()) picture.preview.close();
    this.#opened = [];
  }

  /** @param {string} id */
  async #pairOfReplacement(id) {
    const { signal } = this.#aborting;
    return pairOfImage(/** @type {Image} */ (await retryWhileAway(() => callApi("GET", `/v1/images/${id}`, { signal }), { signal })));
  }

  /** @returns {Promise<Small | null>} */
  async #openPreview() {
    const pair = await this.pair;
    if (!pair) return null;
    const opened = this.#taken(await pair.openPreview(this.#aborting.signal));
    this.changed = changedShare(...opened);
    this.ready ??= opened;
    return { opened, changed: this.changed };
  }

  async #openWhole() {
    const pair = await this.pair;
    await this.preview;
    if (!pair?.openWhole) return null;
    try {
      return (this.ready = this.#taken(await pair.openWhole(this.#aborting.signal)));
    } catch (error) {
      this.#aborting.signal.throwIfAborted();
      console.debug(error); // the preview stays, with a hint
      return null;
    }
  }

  /**
   * @param {Opened} opened
   * @returns {Opened}
   */
  #taken(opened) {
    if (this.#aborting.signal.aborted) {
      for (const picture of opened) picture.preview.close();
      this.#aborting.signal.throwIfAborted();
    }
    this.#opened.push(opened);
    return opened;
  }
}
