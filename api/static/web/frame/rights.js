// The statement of the right to remove marks: asked once in a dialog, kept by this browser, sent with each job.

import { parseJson } from "../net/json.js";
import { byId, dialogById, query } from "./dom.js";

const KEY = "cleanplate.rights";

/** @typedef {{ rights_basis: string, attested_by: string, rights_reference: string }} Statement */

/** @type {(keyof Statement)[]} */
const FIELDS = ["rights_basis", "attested_by", "rights_reference"];
/** @type {Statement | null} The statement made on this page: it counts also where the browser keeps nothing. */
let current = null;

/**
 * The statement as the API takes it, or null before it is made.
 * @returns {Statement | null}
 */
export function statement() {
  return current ?? keptStatement();
}

/**
 * Use a statement from now on, and keep it for other pages where the browser allows it.
 * @param {Statement} made
 */
export function remember(made) {
  current = made;
  try {
    localStorage.setItem(KEY, JSON.stringify(made));
  } catch (error) {
    console.warn("The browser does not keep the statement of rights; the next page asks again.", error);
  }
}

/**
 * Ask for the statement; the dialog shows the one that is known. Resolves to null where the dialog is closed without one.
 * @returns {Promise<Statement | null>}
 */
export function ask() {
  const dialog = dialogById("rights");
  const form = byId("rights-form", HTMLFormElement);
  const known = statement();
  for (const name of FIELDS) {
    if (known) fieldOf(form, name).value = known[name];
  }
  return new Promise((resolve) => {
    const closed = new AbortController();
    const options = { signal: closed.signal };
    query(form, "[data-close]").addEventListener("click", () => { dialog.close(); }, options);
    form.addEventListener("submit", () => { remember(statementOf(form)); }, options);
    dialog.addEventListener("close", () => {
      closed.abort();
      resolve(dialog.returnValue === "confirmed" ? statement() : null);
      dialog.returnValue = "";
    }, options);
    dialog.showModal();
  });
}

/** The statement, asked for before the first job; null where it is refused. */
export async function requireStatement() {
  return statement() ?? (await ask());
}

/** @returns {Statement | null} */
function keptStatement() {
  let kept;
  try {
    kept = parseJson(localStorage.getItem(KEY) ?? "null");
  } catch {
    return null; // an older page wrote it, or the browser keeps nothing
  }
  return isStatement(kept) ? kept : null;
}

/**
 * @param {unknown} value
 * @returns {value is Statement}
 */
function isStatement(value) {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map(Object.entries(value));
  return FIELDS.every((name) => typeof fields.get(name) === "string" && fields.get(name) !== "");
}

/**
 * @param {HTMLFormElement} form
 * @returns {Statement}
 */
function statementOf(form) {
  const [rights_basis, attested_by, rights_reference] = FIELDS.map((name) => fieldOf(form, name).value.trim());
  return { rights_basis: rights_basis ?? "", attested_by: attested_by ?? "", rights_reference: rights_reference ?? "" };
}

/**
 * The field of a form with this name: an input, or a group of radio buttons.
 * @param {HTMLFormElement} form
 * @param {keyof Statement} name
 */
function fieldOf(form, name) {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLInputElement || field instanceof RadioNodeList) return field;
  throw new Error(`The form of rights has no field ${name}.`);
}
