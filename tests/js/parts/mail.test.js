import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage('<p id="mail-line"></p>');
const { textOf } = await import("../../../api/static/web/parts/mail.js");

/** @import { JobMail } from "../../../api/static/web/net/answers.js" */

/** @type {JobMail} */
const MAIL = { to: "jo@shop.example", state: "idle" };

test("a mail's fate is a sentence, with the reason where it is not sent", () => {
  const unreachable = { code: "mail_unreachable", detail: "TimeoutError: timed out" };
  assert.equal(textOf(MAIL), "When the job has ended, a mail goes to jo@shop.example.");
  assert.equal(textOf({ ...MAIL, state: "pending" }), "A mail to jo@shop.example is on its way.");
  assert.match(textOf({ ...MAIL, state: "pending", error: unreachable }), /tried again\. The mail server does not answer\.$/);
  assert.match(textOf({ ...MAIL, state: "failed", error: { code: "mail_refused", detail: "550" } }), /could not be sent\. The mail server does not take/);
  assert.match(textOf({ ...MAIL, state: "sent", sent_at: "2026-05-01T12:00:00Z" }), /^A mail went to jo@shop\.example, .*2026/);
});
