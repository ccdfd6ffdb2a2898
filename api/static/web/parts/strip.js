// The pictures on the page of one picture, as a strip: one is on the stage, the others keep their steps and their paint.

import { buttonById, byId, createElement } from "../frame/dom.js";
import { thumbnailOf } from "../picture/steps.js";
import { t } from "../words/texts.js";

/** @import { Work } from "../picture/work.js" */
/** @typedef {{ root: HTMLLIElement, button: HTMLButtonElement, state: HTMLElement }} Item */

export class Strip {
  /** @type {Work[]} */
  works = [];
  /** @type {Map<Work, Item>} */
  #items = new Map();
  #listeners;

  /** @param {{ onChoice: (work: Work) => void, onPutAway: (work: Work) => void }} listeners */
  constructor(listeners) {
    this.#listeners = listeners;
  }

  /**
   * Add a work whose preview is open.
   * @param {Work} work
   */
  add(work) {
    const state = createElement("span", { class: "work-state" });
    const button = createElement(
      "button", { type: "button", class: "work-choice", title: work.name },
      thumbnailOf(work.current.picture.preview), createElement("span", { class: "work-name" }, work.name), state,
    );
    const label = t("Put {name} away", { name: work.name });
    const putAway = createElement("button", { type: "button", class: "work-away", "aria-label": label, title: label }, "×");
    button.addEventListener("click", () => { this.#listeners.onChoice(work); });
    putAway.addEventListener("click", () => { this.#listeners.onPutAway(work); });
    const root = createElement("li", {}, button, putAway);
    this.works.push(work);
    this.#items.set(work, { root, button, state });
    byId("works").append(root);
  }

  /** @param {Work} work */
  remove(work) {
    this.works = this.works.filter((one) => one !== work);
    this.#items.get(work)?.root.remove();
    this.#items.delete(work);
  }

  /**
   * The work that is `by` places after another one; undefined beyond the ends.
   * @param {Work} work
   * @param {number} by
   */
  neighbour(work, by) {
    return this.works[this.works.indexOf(work) + by];
  }

  /**
   * Show the state of each work, and which is on the stage.
   * @param {Work} current
   */
  update(current) {
    byId("strip").hidden = this.works.length < 2;
    for (const [work, { button, state }] of this.#items) {
      if (work === current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      state.textContent = stateOf(work);
    }
    buttonById("erase-all").hidden = !this.works.some((work) => work !== current && !work.isTouched);
    buttonById("erase-all").disabled = current.shapesToRepeat === null;
  }
}

/** @param {Work} work */
function stateOf(work) {
  if (work.repair) return t("running");
  if (work.isRepaired) return t("clean");
  return work.current.strokes.isEmpty ? "" : t("painted");
}
