// The page of operations: a person looks at the tenant's templates, approves, rejects or deletes them, revokes keys, and has
// failed posts of webhooks made again.

import { confirmAction } from "../frame/confirm.js";
import { buttonById, byId, cloneTemplate, createElement, optionalById, query, readJson, setText } from "../frame/dom.js";
import { notify, reportingErrors } from "../frame/notices.js";
import { callApi } from "../net/api.js";
import { below } from "../net/below.js";
import { followFlow } from "../parts/flow.js";
import { factsOf, lookOf, looksOf, samplesOf, titleOf } from "../parts/templates.js";
import { reasonOf } from "../words/reasons.js";
import { moment, showState } from "../words/states.js";
import { n, t } from "../words/texts.js";

/** @import { Page, Recovered, Template } from "../net/answers.js" */
/** @typedef {ReturnType<typeof newRow>} Row */

const PAGE_SIZE = 50;
const list = byId("template-list");
/** @type {string | null} */
let cursor = null;

/** @param {Page<Template>} page */
function append(page) {
  list.append(...page.data.map(rowOf));
  cursor = page.next_cursor;
  buttonById("templates-more").hidden = !cursor;
  showNone();
}

function showNone() {
  byId("templates-none").hidden = list.children.length > 0;
}

function newRow() {
  return cloneTemplate("template-row", {
    name: HTMLElement, state: HTMLElement, facts: HTMLElement, picture: HTMLImageElement,
    look: HTMLButtonElement, approve: HTMLButtonElement, reject: HTMLButtonElement, delete: HTMLButtonElement,
    closer: HTMLElement, looks: HTMLElement, samples: HTMLElement,
  });
}

/** @param {Template} first */
function rowOf(first) {
  const row = newRow();
  const path = `/v1/templates/${first.id}`;
  const look = lookOf(first);
  row.picture.hidden = !look;
  if (look) row.picture.src = below(look);
  for (const button of [row.look, row.approve, row.reject, row.delete]) {
    button.append(createElement("span", { class: "unseen" }, ` ${titleOf(first)}`));
  }
  row.look.addEventListener("click", () => { toggleLooks(row, first); });
  for (const verb of /** @type {const} */ (["approve", "reject"])) {
    row[verb].addEventListener("click", reportingErrors(async () => {
      showTemplate(row, /** @type {Template} */ (await callApi("POST", `${path}/${verb}`)));
    }));
  }
  row.delete.addEventListener("click", reportingErrors(async () => {
    const question = t("Delete the known mark {name}?", { name: titleOf(first) });
    if (!(await confirmAction(question, t("What was cleaned with it stays as it is."), t("Delete")))) return;
    await callApi("DELETE", path);
    row.root.remove();
    showNone();
    notify("success", t("The known mark is deleted"));
    byId("templates-title").focus();
  }));
  showTemplate(row, first);
  return row.root;
}

/**
 * @param {Row} row
 * @param {Template} template
 */
function showTemplate(row, template) {
  setText(row.name, titleOf(template));
  showState(row.state, template.state);
  const facts = template.error ? reasonOf(template.error.code)[0] : factsOf(template);
  setText(row.facts, [facts, moment(template.created_at)].filter(Boolean).join(" · "));
  row.approve.hidden = row.reject.hidden = template.state !== "needs_review";
  row.look.hidden = !Object.keys(template.previews).length;
}

/**
 * @param {Row} row
 * @param {Template} template
 */
function toggleLooks(row, template) {
  row.closer.hidden = !row.closer.hidden;
  row.look.setAttribute("aria-expanded", String(!row.closer.hidden));
  if (row.looks.children.length) return;
  row.looks.append(...looksOf(template));
  row.samples.append(...samplesOf(template).map((pictures) => createElement("div", { class: "sample" }, ...pictures)));
}

// A revoked key does not come back: its form is sent once the person confirms.
for (const form of document.querySelectorAll("form")) {
  const { revokes: name, own } = form.dataset;
  if (name === undefined) continue;
  form.addEventListener("submit", (event) => { event.preventDefault(); });
  form.addEventListener("submit", reportingErrors(async () => {
    const refused = t("Whoever uses it is refused from now on. This cannot be undone.");
    const details = own === undefined ? [refused] : [refused, t("Your session ends with it.")];
    if (await confirmAction(t("Revoke the key {name}?", { name }), details.join(" "), t("Revoke"))) form.submit();
  }));
}

for (const row of document.querySelectorAll("[data-webhook]")) {
  const button = row.querySelector("[data-recover]");
  if (row instanceof HTMLElement && button instanceof HTMLButtonElement) {
    button.addEventListener("click", reportingErrors(() => recover(row, button)));
  }
}

/**
 * Post all failed events of a webhook again, after it is switched on.
 * @param {HTMLElement} row
 * @param {HTMLButtonElement} button
 */
async function recover(row, button) {
  const { webhook, since, disabled } = row.dataset;
  const path = `/v1/webhooks/${webhook}`;
  button.disabled = true;
  try {
    if (disabled !== undefined) await callApi("PATCH", path, { body: { enabled: true } });
    delete row.dataset.disabled;
    let total = 0;
    for (let more = since !== undefined; more; ) {
      const answer = /** @type {Recovered} */ (await callApi("POST", `${path}/recover`, { body: { since } }));
      total += answer.queued;
      more = answer.more;
    }
    setText(query(row, "[data-failed]"), n("1 post is made again", "{count} posts are made again", total));
    button.remove();
    byId("webhooks-title").focus();
  } finally {
    button.disabled = false;
  }
}

buttonById("templates-more").addEventListener("click", reportingErrors(async () => {
  buttonById("templates-more").disabled = true;
  try {
    const search = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
    append(/** @type {Page<Template>} */ (await callApi("GET", `/v1/templates?${search}`)));
  } finally {
    buttonById("templates-more").disabled = false;
  }
}));

// htmx does not replace a part while a button in it is pressed; the next refresh does.
addEventListener("htmx:beforeSwap", (event) => {
  const { target, detail } = /** @type {CustomEvent<{ shouldSwap: boolean }>} */ (event);
  if (target instanceof Element && target.querySelector(":active")) detail.shouldSwap = false;
});

append(/** @type {Page<Template>} */ (readJson("first")));
if (optionalById("flow-spans")) followFlow();
