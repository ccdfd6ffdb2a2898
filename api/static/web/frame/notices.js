// Sentences for the person at the page, at its top: problems stay until closed, others pass.

import { Problem } from "../net/api.js";
import { language, t } from "../words/texts.js";

const PASSES_AFTER_MS = 6000;
const place = document.getElementById("notices");

/** Show a sentence. `kind`: info, success, warning or error. Returns a function that takes it away. */
export function notify(kind, title, detail = "", { lasting = kind === "error", detailLanguage = language } = {}) {
  const notice = document.createElement("div");
  notice.className = `notice notice-${kind}`;
  if (kind === "error") notice.setAttribute("role", "alert");
  const words = document.createElement("div");
  words.append(paragraph(title, "notice-title"));
  if (detail) {
    const told = paragraph(detail);
    told.lang = detailLanguage;
    words.append(told);
  }
  const close = document.createElement("button");
  close.className = "link";
  close.type = "button";
  close.textContent = t("Close");
  close.addEventListener("click", () => notice.remove());
  notice.append(words, close);
  place.append(notice);
  if (!lasting) setTimeout(() => notice.remove(), PASSES_AFTER_MS);
  return () => notice.remove();
}

/** Show what went wrong. What the service says of it is in English. */
export function notifyOf(error) {
  if (error.name === "AbortError") return () => {};
  if (!(error instanceof Problem)) {
    console.error(error);
    return notify("error", t("Something broke in the page"), String(error.message || error), { detailLanguage: "en" });
  }
  const ours = error.code === "unreachable" || error.code === "unexpected";
  return notify("error", t(error.title), error.detail, { detailLanguage: ours ? language : "en" });
}

function paragraph(text, className = "") {
  const element = document.createElement("p");
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
