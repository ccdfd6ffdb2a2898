// Notices at the top of the page: errors stay until they are closed, others go after some seconds.

import { Unusable } from "../files/unusable.js";
import { Problem } from "../net/api.js";
import { language, t } from "../words/texts.js";
import { byId, createElement, isAbort } from "./dom.js";

const SHOWN_MS = 6000;

/**
 * Show a notice. Returns a function that removes it.
 * @param {"info" | "success" | "warning" | "error"} kind
 * @param {string} title
 * @param {string} [detail]
 * @param {{ lasting?: boolean }} [options]
 */
export function notify(kind, title, detail = "", { lasting = kind === "error" } = {}) {
  const close = createElement("button", { class: "link", type: "button" }, t("Close"));
  const notice = createElement(
    "div", { class: `notice notice-${kind}`, role: kind === "error" && "alert" },
    createElement(
      "div", {},
      createElement("p", { class: "notice-title" }, title),
      ...(detail ? [createElement("p", {}, detail)] : []),
    ),
    close,
  );
  const remove = () => {
    notice.remove();
  };
  close.addEventListener("click", remove);
  byId("notices").append(notice);
  if (!lasting) setTimeout(remove, SHOWN_MS);
  return remove;
}

/**
 * Show an error, except an abort. The API's own details are English.
 * @param {unknown} error
 * @param {string} [name] of the picture or file that it is about
 */
export function notifyError(error, name = "") {
  if (isAbort(error)) return;
  if (error instanceof Unusable) {
    notify("error", about(name, error.title), error.message);
    return;
  }
  if (error instanceof Problem) {
    const ours = error.code === "unreachable" || error.code === "unexpected";
    if (ours || language === "en") notify("error", about(name, t(error.title)), error.detail);
    else notifyTranslated(error, name).catch(console.error);
    return;
  }
  console.error(error);
  notify("error", t("Something broke in the page"), language === "en" ? messageOf(error) : t("Reload the page."));
}

/**
 * @param {string} name
 * @param {string} title
 */
function about(name, title) {
  return name ? `${name}: ${title}` : title;
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Show a problem to a reader of another language than the API's. The reasons are loaded when they are needed first.
 * @param {Problem} problem
 * @param {string} name
 */
async function notifyTranslated(problem, name) {
  const { sentenceOf } = await import("../words/reasons.js");
  notify("error", about(name, t(problem.title)), sentenceOf(problem));
}

/**
 * A listener that runs `act` at once and shows its errors, also those of its promise.
 * @template {unknown[]} A
 * @param {(...args: A) => unknown} act
 * @returns {(...args: A) => void}
 */
export function reportingErrors(act) {
  return (...args) => {
    const run = async () => {
      await act(...args);
    };
    run().catch(notifyError);
  };
}
