// What became of the mail about a job: it is sent after the job's end, when nothing follows the job any more.

import { byId, setText } from "../frame/dom.js";
import { callApi, delay, isTransient } from "../net/api.js";
import { moment } from "../words/states.js";
import { t } from "../words/texts.js";

/** @import { Job, JobMail } from "../net/answers.js" */

const LOOK_MS = 4000;

/** Why a mail could not be sent, by the error's code. @type {Partial<Record<string, () => string>>} */
const REASONS = {
  mail_unreachable: () => t("The mail server does not answer."),
  mail_server_refused: () => t("The mail server refuses the service: tell whoever runs it."),
  mail_refused: () => t("The mail server does not take mail for this address."),
  mail_not_allowed: () => t("Whoever runs the service does not allow this address."),
};

export class MailLine {
  #line = byId("mail-line");
  #looking = false;

  /**
   * Show the mail of a job; look from time to time while it is under way.
   * @param {Job} job
   */
  show({ id, mail, finished_at }) {
    this.#line.hidden = !mail;
    if (!mail) return;
    setText(this.#line, textOf(mail));
    if (finished_at && mail.state === "pending" && !this.#looking) void this.#look(id);
  }

  /** @param {string} id of the job */
  async #look(id) {
    this.#looking = true;
    for (;;) {
      await delay(LOOK_MS);
      if (document.hidden) continue;
      try {
        const { mail } = /** @type {Job} */ (await callApi("GET", `/v1/jobs/${id}`));
        if (mail) setText(this.#line, textOf(mail));
        if (mail?.state !== "pending") return;
      } catch (error) {
        if (!isTransient(error)) return; // the job was deleted, and the page says so
      }
    }
  }
}

/**
 * A sentence about a mail.
 * @param {JobMail} mail
 */
export function textOf({ to, state, sent_at, error }) {
  if (state === "idle") return t("When the job has ended, a mail goes to {to}.", { to });
  if (state === "sent") return t("A mail went to {to}, {time}.", { to, time: sent_at ? moment(sent_at) : "" });
  const reason = (error && REASONS[error.code]?.()) ?? "";
  if (state === "failed") return `${t("The mail to {to} could not be sent.", { to })} ${reason}`;
  return error ? `${t("The mail to {to} could not be sent yet; it is tried again.", { to })} ${reason}` : t("A mail to {to} is on its way.", { to });
}
