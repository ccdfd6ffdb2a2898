// What a person thinks of results: shown at once, sent in the order of judging, undone step by step.

import { callPatiently } from "../net/api.js";

/** @import { Image, ReviewWord } from "../net/answers.js" */
/** @typedef {Pick<Image, "review" | "review_note">} Verdict */
/** @typedef {{ image: Image, from: Verdict, to: Verdict }} Change */
/** @typedef {Record<ReviewWord, number>} Counts images by verdict */

const MOST_IN_A_REQUEST = 1000;

export class Verdicts {
  /** @type {Counts} */
  counts;
  #path;
  #onChange;
  #onError;
  /** @type {Change[]} */
  #unsent = [];
  /** @type {Change[][]} */
  #past = [];
  #sending = false;

  /**
   * @param {string} path of the job
   * @param {Counts} counts
   * @param {{ onChange: () => void, onError: (error: unknown) => void }} options `onError` hears that verdicts were taken back
   */
  constructor(path, counts, { onChange, onError }) {
    this.#path = path;
    this.counts = { ...counts };
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Whether the service has all verdicts. */
  get isSent() {
    return !this.#sending && !this.#unsent.length;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  /**
   * Judge images; their notes stay.
   * @param {Image[]} images
   * @param {ReviewWord} review
   */
  judge(images, review) {
    this.#do(images.map((image) => ({ image, from: verdictOf(image), to: { review, review_note: image.review_note } })));
  }

  /**
   * Write a note on an image.
   * @param {Image} image
   * @param {string} text empty: none
   */
  note(image, text) {
    this.#do([{ image, from: verdictOf(image), to: { review: image.review, review_note: text || null } }]);
  }

  /** Take the last step back. Returns its images. */
  undo() {
    const step = this.#past.pop() ?? [];
    this.#apply(step.map(({ image, from, to }) => ({ image, from: to, to: from })));
    return step.map(({ image }) => image);
  }

  /** @param {Change[]} changes */
  #do(changes) {
    this.#past.push(changes);
    this.#apply(changes);
  }

  /** @param {Change[]} changes */
  #apply(changes) {
    for (const { image, to } of changes) this.#set(image, to);
    this.#unsent.push(...changes);
    this.#onChange();
    void this.#send();
  }

  /**
   * @param {Image} image
   * @param {Verdict} verdict
   */
  #set(image, { review, review_note }) {
    this.counts[image.review] -= 1;
    this.counts[review] += 1;
    image.review = review;
    image.review_note = review_note;
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#unsent.length) {
      const batch = this.#unsent.splice(0, alike(this.#unsent));
      const { review, review_note: note } = /** @type {Change} */ (batch[0]).to;
      const body = { images: batch.map(({ image }) => image.id), review, note };
      try {
        await callPatiently("POST", `${this.#path}/review`, { body });
      } catch (error) {
        for (const { image, from } of batch.reverse()) this.#set(image, from);
        this.#past = []; // its steps name verdicts that the service does not have
        this.#onError(error);
      }
    }
    this.#sending = false;
    this.#onChange();
  }
}

/**
 * The number of changes at the beginning that one request can carry: with one verdict and one note, each image once.
 * @param {Change[]} changes
 */
export function alike(changes) {
  const first = changes[0];
  const ids = new Set();
  for (const { image, to } of changes) {
    const differs = to.review !== first?.to.review || to.review_note !== first.to.review_note;
    if (differs || ids.has(image.id) || ids.size === MOST_IN_A_REQUEST) break;
    ids.add(image.id);
  }
  return ids.size;
}

/**
 * @param {Image} image
 * @returns {Verdict}
 */
function verdictOf({ review, review_note }) {
  return { review, review_note };
}
