// The choice between the networks that the service offers; the browser remembers it.

import { optionalById } from "../frame/dom.js";

const KEY = "cleanplate.network";

export class NetworkChoice {
  /** Null where the service has one network only. */
  #select = optionalById("network", HTMLSelectElement);

  constructor() {
    const select = this.#select;
    if (!select) return;
    const kept = keptName();
    if ([...select.options].some(({ value }) => value === kept)) select.value = kept;
    select.addEventListener("change", () => { keepName(select.value); });
  }

  /** The option of a job; none for the service's own network. */
  get option() {
    const name = this.#select?.value;
    return name ? { model: name } : {};
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
