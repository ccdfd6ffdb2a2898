// The page of the operations: the tenant's templates looked at, approved or refused, deleted; keys revoked.

import { below, call } from "../net/api.js";
import { element, given, part, say } from "../frame/dom.js";
import { notify, notifyOf } from "../frame/notices.js";
import { reasonOf } from "../words/reasons.js";
import { moment, showState } from "../words/states.js";
import { sure } from "../frame/sure.js";
import { factsOf, looksOf, samplesOf, titleOf } from "../parts/templates.js";
import { t } from "../words/texts.js";

const at = (id) => document.getElementById(id);
const PART = 50;
let cursor = null;

function take(page) {
  for (const template of page.data) at("template-list").append(rowOf(template));
  cursor = page.next_cursor;
  at("templates-more").hidden = !cursor;
  at("templates-none").hidden = at("template-list").children.length > 0;
}

function rowOf(first) {
  const row = part("template-row");
  let template = first;
  const path = `/v1/templates/${template.id}`;
  const show = () => {
    say(row.name, titleOf(template));
    showState(row.state, template.state);
    say(row.facts, [template.error ? reasonOf(template.error.code)[0] : factsOf(template), moment(template.created_at)].filter(Boolean).join(" · "));
    for (const name of ["approve", "reject"]) row[name].hidden = template.state !== "needs_review";
    row.look.hidden = !Object.keys(template.previews).length;
  };
  const doing = (act) => async () => {
    try {
      await act();
    } catch (error) {
      notifyOf(error);
    }
  };
  const look = template.previews.colour ?? template.previews.mask;
  row.picture.hidden = !look;
  if (look) row.picture.src = below(look);
  for (const name of ["look", "approve", "reject", "delete"]) row[name].append(element("span", { class: "unseen" }, ` ${titleOf(template)}`));
  row.look.addEventListener("click", () => {
    row.closer.hidden = !row.closer.hidden;
    row.look.setAttribute("aria-expanded", String(!row.closer.hidden));
    if (row.looks.children.length) return;
    row.looks.append(...looksOf(template));
    row.samples.append(...samplesOf(template).map((pictures) => element("div", { class: "sample" }, ...pictures)));
  });
  for (const name of ["approve", "reject"]) {
    row[name].addEventListener("click", doing(async () => {
      template = await call("POST", `${path}/${name}`);
      show();
    }));
  }
  row.delete.addEventListener("click", doing(async () => {
    if (!(await sure(t("Delete the template {name}?", { name: titleOf(template) }), t("What was cleaned with it stays as it is."), t("Delete")))) return;
    await call("DELETE", path);
    row.root.remove();
    at("templates-none").hidden = at("template-list").children.length > 0;
    notify("success", t("The template is deleted"));
    at("templates-title").focus();
  }));
  show();
  return row.root;
}

/* A key that is revoked does not come back: its form is sent once the person is sure. */
for (const form of document.querySelectorAll("form[data-revokes]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { revokes: name, own } = form.dataset;
    const follows = [t("Whoever uses it is refused from now on. This cannot be undone."), own === undefined ? "" : t("Your session ends with it.")];
    if (await sure(t("Revoke the key {name}?", { name }), follows.filter(Boolean).join(" "), t("Revoke"))) form.submit();
  });
}

at("templates-more").addEventListener("click", async () => {
  at("templates-more").disabled = true;
  try {
    take(await call("GET", `/v1/templates?${new URLSearchParams({ limit: PART, cursor })}`));
  } catch (error) {
    notifyOf(error);
  }
  at("templates-more").disabled = false;
});

// What is pressed just now stays until it is let go of: it comes anew with the next look.
addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.querySelector(":active")) event.detail.shouldSwap = false;
});

take(given("first"));
