// Small pictures of jobs in a list: the first results of each job, fetched once its row is in sight.

import { createElement } from "../frame/dom.js";
import { notifyError } from "../frame/notices.js";
import { callApi, isTransient } from "../net/api.js";
import { showPreview } from "./gallery.js";

/** @import { Image, Job, Page } from "../net/answers.js" */
/** @typedef {{ root: HTMLElement, looks: HTMLElement }} LookedRow */

const MOST = 3;

export class Looks {
  /** Rows whose pictures were not fetched. @type {Map<Element, { row: LookedRow, job: Job }>} */
  #waiting = new Map();
  /** Jobs whose pictures were asked for. @type {Set<string>} */
  #asked = new Set();
  #sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) this.#show(target).catch(notifyError);
  }, { rootMargin: "200px" });

  /**
   * Show the pictures of a job in its row when it comes into sight.
   * @param {LookedRow} row
   * @param {Job} job that has results
   */
  watch(row, job) {
    if (this.#asked.has(job.id)) return;
    this.#asked.add(job.id);
    this.#waiting.set(row.root, { row, job });
    this.#sight.observe(row.root);
  }

  /** @param {Element} root */
  async #show(root) {
    this.#sight.unobserve(root);
    const waiting = this.#waiting.get(root);
    if (!waiting) return;
    this.#waiting.delete(root);
    const { row, job } = waiting;
    try {
      const page = /** @type {Page<Image>} */ (await callApi("GET", `${job.links.images}?state=succeeded&limit=${MOST}`));
      row.looks.replaceChildren(...page.data.flatMap(lookOf));
      if (page.data.length < MOST && !job.finished_at) this.#asked.delete(job.id); // more come with its next change
    } catch (error) {
      if (!isTransient(error)) throw error;
      this.#asked.delete(job.id); // with the job's next change
    }
  }
}

/** @param {Image} image */
function lookOf({ preview_url, record }) {
  if (!preview_url || !record.preview) return [];
  const preview = createElement("img", { alt: "", draggable: "false", decoding: "async" });
  const look = createElement("span", { class: "job-look" }, createElement("span", { class: "pair-frame" }, preview));
  showPreview(preview, preview_url, record.preview);
  return [look];
}
