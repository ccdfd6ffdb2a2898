// Tells of a job's end by a notification of the browser. Its permission is asked when the person clicks, and not before.

import { notify, notifyError } from "../frame/notices.js";
import { callApi, delay, isTransient } from "../net/api.js";
import { doneText } from "../words/states.js";
import { n, t } from "../words/texts.js";

/** @import { Job } from "../net/answers.js" */

const LOOK_MS = 5000;

export class Bell {
  #button;
  /** @type {Job} */
  #job;
  #wanted = false;

  /**
   * @param {HTMLButtonElement} button
   * @param {Job} job
   */
  constructor(button, job) {
    this.#button = button;
    this.#job = job;
    button.addEventListener("click", () => { this.#ask().catch(notifyError); });
  }

  /**
   * Offer to tell of the job's end while it is open.
   * @param {Job} job
   */
  show(job) {
    this.#job = job;
    this.#button.hidden = Boolean(job.finished_at) || this.#wanted || !("Notification" in globalThis);
  }

  async #ask() {
    if ((await Notification.requestPermission()) !== "granted") {
      notify("warning", t("The browser does not allow messages from this page"), t("Its settings for this page say so; they can be changed there."));
      return;
    }
    this.#wanted = true;
    this.show(this.#job);
    notify("info", t("You are told when the job ends"), t("Leave this page open, also behind others."));
    await this.#wait();
  }

  /** Nothing follows the job while the page is hidden: look from time to time. */
  async #wait() {
    while (!this.#job.finished_at) {
      await delay(LOOK_MS);
      if (!document.hidden) continue; // the page follows the job
      try {
        this.#job = /** @type {Job} */ (await callApi("GET", `/v1/jobs/${this.#job.id}`));
      } catch (error) {
        if (!isTransient(error)) throw error;
      }
    }
    if (document.hidden) this.#ring();
  }

  #ring() {
    const { id, name, counts } = this.#job;
    const failed = counts.failed ? n("1 failed", "{count} failed", counts.failed) : "";
    const notification = new Notification(name ?? t("The job has ended"), { body: [doneText(this.#job), failed].filter(Boolean).join(", "), tag: id });
    notification.addEventListener("click", () => { focus(); });
  }
}
