// What was posted to a job's webhook and what came back; one that failed is posted again.

import { call, newest } from "../net/api.js";
import { element } from "../frame/dom.js";
import { notify, notifyOf } from "../frame/notices.js";
import { moment, showState } from "../words/states.js";
import { number, t } from "../words/texts.js";

const SOON_MS = 2000;
const LATEST_MS = 30_000;

export class Deliveries {
  #parts;
  #mayPostAgain;
  #signal;
  #listed = newest();
  #job = null;
  #timer = null;

  /** `parts`: `section`, `rows`, and `none`, which is said where there are none; `signal()` ends what is asked. */
  constructor(parts, { mayPostAgain, signal }) {
    this.#parts = parts;
    this.#mayPostAgain = mayPostAgain;
    this.#signal = signal;
  }

  /** Show those of the job, and how they go on while one is still to be posted. */
  async show(job, next = SOON_MS) {
    this.#job = job;
    clearTimeout(this.#timer);
    if (!job.webhook_id) return;
    const { section, rows, none } = this.#parts;
    section.hidden = false;
    const found = await this.#listed(call("GET", `${this.#path}?limit=50&job_id=${job.id}`, { signal: this.#signal() }));
    if (!found) return;
    const { data } = found;
    none.hidden = data.length > 0;
    rows.replaceChildren(...data.map((delivery) => this.#row(delivery)));
    // The end of a job is written down for its webhook a little later than the end itself.
    const awaited = job.finished_at && !data.length && next < LATEST_MS;
    if (awaited || data.some(({ state }) => state === "pending")) this.#again(next);
  }

  get #path() {
    return `/v1/webhooks/${this.#job.webhook_id}/deliveries`;
  }

  /** Look again in a while, later each time: the next attempt may be hours away. */
  #again(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (document.hidden) this.#again(wait);
      else this.show(this.#job, Math.min(LATEST_MS, 1.5 * wait)).catch((error) => (error.passing ? this.#again(LATEST_MS) : notifyOf(error)));
    }, wait);
  }

  #row(delivery) {
    const last = delivery.log.at(-1);
    const state = element("td");
    showState(state, delivery.state);
    const answer = last ? [moment(last.at), last.status ? t("answered {status}", { status: last.status }) : last.error].filter(Boolean).join(", ") : "–";
    const button = this.#mayPostAgain && element("button", { class: "button", type: "button" }, t("Post again"));
    if (button) button.addEventListener("click", () => this.#post(delivery, button));
    return element(
      "tr", {},
      element("td", {}, element("code", {}, delivery.event_type)),
      state,
      element("td", last?.error ? { lang: "en" } : {}, answer),
      element("td", { class: "number" }, number(delivery.log.length)),
      element("td", { class: "number" }, ...(button ? [button] : [])),
    );
  }

  async #post(delivery, button) {
    button.disabled = true;
    try {
      await call("POST", `${this.#path}/${delivery.id}/redeliver`);
      notify("success", t("It is posted again"));
      await this.show(this.#job);
    } catch (error) {
      button.disabled = false;
      notifyOf(error);
    }
  }
}
