// Elements of the page: looked up by their ids, cloned from templates, created by scripts. Texts never become HTML.

import { parseJson } from "../net/json.js";

/**
 * @template {Element} E
 * @typedef {new (...args: never[]) => E} ElementType
 */
/** @typedef {Record<string, ElementType<Element>>} SlotTypes */
/**
 * @template {SlotTypes} S
 * @template {SlotTypes} O
 * @typedef {{ root: HTMLElement } & { [K in keyof S]: InstanceType<S[K]> } & { [K in keyof O]: InstanceType<O[K]> | null }} Clone
 */
/** @typedef {Record<string, string | true | null | undefined | false>} Attributes */

/**
 * The element with this id. Throws where the page has none of this type: the template and the script disagree.
 * @template {Element} [E=HTMLElement]
 * @param {string} id
 * @param {ElementType<E>} [type]
 * @returns {E}
 */
export function byId(id, type) {
  const element = optionalById(id, type);
  if (!element) throw new Error(`The page has no element #${id}.`);
  return element;
}

/**
 * The element with this id, or null: parts of a page may depend on rights and settings.
 * @template {Element} [E=HTMLElement]
 * @param {string} id
 * @param {ElementType<E>} [type]
 * @returns {E | null}
 */
export function optionalById(id, type) {
  const element = document.getElementById(id);
  if (element && type && !(element instanceof type)) throw new Error(`The element #${id} is not of the type ${type.name}.`);
  return /** @type {E | null} */ (/** @type {unknown} */ (element));
}

/** @param {string} id */
export const buttonById = (id) => byId(id, HTMLButtonElement);

/** @param {string} id */
export const inputById = (id) => byId(id, HTMLInputElement);

/** @param {string} id */
export const selectById = (id) => byId(id, HTMLSelectElement);

/** @param {string} id */
export const dialogById = (id) => byId(id, HTMLDialogElement);

/**
 * The first element below `root` that matches. Throws where there is none of this type.
 * @template {Element} [E=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @param {ElementType<E>} [type]
 * @returns {E}
 */
export function query(root, selector, type) {
  const element = root.querySelector(selector);
  if (!element || (type && !(element instanceof type))) throw new Error(`The page has no element ${selector}.`);
  return /** @type {E} */ (element);
}

/**
 * The children of an element that are HTML elements.
 * @param {Element} parent
 */
export function childrenOf(parent) {
  return [...parent.children].filter((child) => child instanceof HTMLElement);
}

/**
 * The nearest element around the target of an event that matches, or null.
 * @param {Event} event
 * @param {string} selector
 */
export function closest({ target }, selector) {
  const element = target instanceof Element ? target.closest(selector) : null;
  return element instanceof HTMLElement ? element : null;
}

/**
 * A clone of a template's element with its slots (`data-slot`), each of its type. A slot in `optional` may be missing.
 * @template {SlotTypes} S
 * @template {SlotTypes} [O={}]
 * @param {string} id
 * @param {S} slots
 * @param {O} [optional]
 */
export function cloneTemplate(id, slots, optional) {
  const root = /** @type {HTMLElement | undefined} */ (byId(id, HTMLTemplateElement).content.firstElementChild?.cloneNode(true));
  if (!root) throw new Error(`The template #${id} is empty.`);
  const required = Object.entries(slots).map(([name, type]) => [name, query(root, `[data-slot="${name}"]`, type)]);
  const others = Object.keys(optional ?? {}).map((name) => [name, root.querySelector(`[data-slot="${name}"]`)]);
  /** @type {unknown} */
  const parts = Object.fromEntries([["root", root], ...required, ...others]);
  return /** @type {Clone<S, O>} */ (parts);
}

/**
 * A new element. The value `true` sets an attribute without a value; null, undefined and false set none.
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 */
export function createElement(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (typeof value === "string") element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/**
 * Set the text of an element if it differs, so that screen readers do not repeat an unchanged text.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * The JSON that the service wrote into the page.
 * @param {string} id of its script element
 * @returns {unknown}
 */
export function readJson(id) {
  return parseJson(byId(id).textContent);
}

/**
 * Run `work` while the page is visible, from its start each time the page is shown again: a browser has few connections,
 * and tabs in the background should hold none. `restart` ends the current run, or a stop, and starts anew.
 * @param {(signal: AbortSignal) => Promise<unknown>} work
 * @param {(error: unknown) => void} report takes each error of `work` except its abort
 */
export function runWhileVisible(work, report) {
  /** @type {AbortController | null} */
  let run = null;
  let stopped = false;
  const update = () => {
    if (document.hidden || stopped) {
      run?.abort();
      run = null;
    } else if (!run) {
      const { signal } = (run = new AbortController());
      work(signal).catch((/** @type {unknown} */ error) => {
        if (!isAbort(error)) report(error);
      });
    }
  };
  document.addEventListener("visibilitychange", update);
  update();
  return {
    stop() {
      stopped = true;
      update();
    },
    restart() {
      stopped = false;
      run?.abort();
      run = null;
      update();
    },
  };
}

/**
 * Whether an error only says that its signal was aborted.
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof Error && error.name === "AbortError";
}
