// The choice between the networks that the service offers; the browser remembers it.

import { byId, createElement, selectById } from "../frame/dom.js";

const KEY = "cleanplate.network";

export class NetworkChoice {
  #select = selectById("network");

  constructor() {
    const kept = keptName();
    if (this.#options.some(({ value }) => value === kept)) this.#select.value = kept;
    this.#select.addEventListener("change", () => { keepName(this.#select.value); });
  }

  /** The chosen name as the option `model` of a job; empty: the service's own. */
  get name() {
    return this.#select.value;
  }

  get areSeveral() {
    return this.#options.length > 1;
  }

  /**
   * The network to compare another one with: the chosen one, or the next in the list where that is the same.
   * @param {string} name
   */
  other(name) {
    const names = this.#options.map(({ value }) => value);
    return this.name === name ? (names[(names.indexOf(name) + 1) % names.length] ?? name) : this.name;
  }

  /**
   * What a network is called, in two or three words.
   * @param {string} name
   */
  title(name) {
    return this.#options.find(({ value }) => value === name)?.dataset.title ?? name;
  }

  /** Offer the large network, which the service has now. */
  addLarge() {
    const { largeNetwork = "", largeLabel = "", largeTitle = "" } = byId("bench").dataset;
    if (!this.#options.some(({ value }) => value === largeNetwork)) {
      this.#select.append(createElement("option", { value: largeNetwork, "data-title": largeTitle }, largeLabel));
    }
    byId("networks").hidden = false;
  }

  get #options() {
    return [...this.#select.options];
  }
}

function keptName() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // the browser keeps nothing
  }
}

/** @param {string} name */
function keepName(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch (error) {
    console.warn("The browser does not keep the choice of the network.", error);
  }
}
