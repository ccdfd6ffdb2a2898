// The deliveries of a job to its webhook, with the answers; one that failed can be posted again.

import { createElement } from "../frame/dom.js";
import { notify, notifyError } from "../frame/notices.js";
import { callApi, isTransient, latestOnly } from "../net/api.js";
import { moment, showState } from "../words/states.js";
import { language, number, t } from "../words/texts.js";

/** @import { Delivery, Job, Page } from "../net/answers.js" */

const FIRST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 30_000;

export class Deliveries {
  #parts;
  #mayPostAgain;
  #signal;
  #latest = latestOnly();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {{ section: HTMLElement, rows: HTMLElement, none: HTMLElement }} parts `none` is shown without deliveries
   * @param {{ mayPostAgain: boolean, signal: () => AbortSignal }} options `signal` aborts requests
   */
  constructor(parts, { mayPostAgain, signal }) {
    this.#parts = parts;
    this.#mayPostAgain = mayPostAgain;
    this.#signal = signal;
  }

  /**
   * Show the deliveries of a job, again and again while one is pending.
   * @param {Job} job
   * @param {number} [wait] before the next look, in milliseconds
   */
  async show(job, wait = FIRST_WAIT_MS) {
    clearTimeout(this.#timer);
    if (!job.webhook_id) return;
    const { section, rows, none } = this.#parts;
    section.hidden = false;
    const path = `/v1/webhooks/${job.webhook_id}/deliveries`;
    const page = await this.#latest(callApi("GET", `${path}?limit=50&job_id=${job.id}`, { signal: this.#signal() }));
    if (!page) return;
    const { data } = /** @type {Page<Delivery>} */ (page);
    none.hidden = data.length > 0;
    rows.replaceChildren(...data.map((delivery) => this.#row(job, path, delivery)));
    // The delivery of a job's end is written a little later than the end itself.
    const expected = job.finished_at && !data.length && wait < LONGEST_WAIT_MS;
    if (expected || data.some(({ state }) => state === "pending")) this.#schedule(job, wait);
  }

  /**
   * Look again after a wait. The waits grow: the next attempt may be hours away.
   * @param {Job} job
   * @param {number} wait
   */
  #schedule(job, wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (document.hidden) {
        this.#schedule(job, wait);
        return;
      }
      this.show(job, Math.min(LONGEST_WAIT_MS, 1.5 * wait)).catch((/** @type {unknown} */ error) => {
        if (isTransient(error)) this.#schedule(job, LONGEST_WAIT_MS);
        else notifyError(error);
      });
    }, wait);
  }

  /**
   * @param {Job} job
   * @param {string} path
   * @param {Delivery} delivery
   */
  #row(job, path, delivery) {
    const last = delivery.log.at(-1);
    const state = createElement("td");
    showState(state, delivery.state);
    const button = this.#mayPostAgain ? [this.#button(job, `${path}/${delivery.id}/redeliver`)] : [];
    return createElement(
      "tr", {},
      createElement("td", {}, createElement("code", {}, delivery.event_type)),
      state,
      createElement("td", {}, last ? attemptText(last) : "–"),
      createElement("td", { class: "number" }, number(delivery.log.length)),
      createElement("td", { class: "number" }, ...button),
    );
  }

  /**
   * @param {Job} job
   * @param {string} path to post to
   */
  #button(job, path) {
    const button = createElement("button", { class: "button", type: "button" }, t("Post again"));
    const post = async () => {
      button.disabled = true;
      try {
        await callApi("POST", path);
        notify("success", t("It is posted again"));
        await this.show(job);
      } catch (error) {
        button.disabled = false;
        notifyError(error);
      }
    };
    button.addEventListener("click", () => void post());
    return button;
  }
}

/** @param {import("../net/answers.js").DeliveryAttempt} attempt */
function attemptText({ at, status, error }) {
  return [moment(at), status ? t("answered {status}", { status }) : language === "en" ? error : t("no answer")].filter(Boolean).join(", ");
}
