// The results of a job for a person who judges them: the doubtful ones first, loaded part by part.

import { callPatiently } from "../net/api.js";

/** @import { Image, Page, ReviewWord } from "../net/answers.js" */

const PART = 200;

export class Results {
  /** @type {Image[]} */
  images = [];
  /** Whether all are loaded. */
  complete = false;
  #path;
  #review;
  /** @type {string | null} */
  #cursor = null;
  /** @type {Promise<void> | null} */
  #loading = null;

  /**
   * @param {string} path of the job's images
   * @param {ReviewWord | null} review null: however they are judged
   */
  constructor(path, review) {
    this.#path = path;
    this.#review = review;
  }

  /** Load the next part; several calls at once load one. */
  async loadMore() {
    if (this.complete) return;
    this.#loading ??= this.#load().finally(() => (this.#loading = null));
    await this.#loading;
  }

  async #load() {
    const cursor = this.#cursor;
    const query = new URLSearchParams({
      state: "succeeded", order: "doubt", limit: String(PART), ...(this.#review && { review: this.#review }), ...(cursor && { cursor }),
    });
    const page = /** @type {Page<Image>} */ (await callPatiently("GET", `${this.#path}?${query}`));
    this.images.push(...page.data);
    this.#cursor = page.next_cursor;
    this.complete = page.next_cursor === null;
  }
}
