// The steps of a picture's repair: the original and each result, to look at, to return to, to continue from.

import { createElement } from "../frame/dom.js";
import { t } from "../words/texts.js";

/** @import { Picture } from "./picture.js" */

const THUMBNAIL = 96;

/** @template {{ picture: Picture }} S */
export class Steps {
  #list;
  /** @type {{ step: S, button: HTMLButtonElement }[]} */
  #entries = [];
  #current = -1;
  #onChoice;

  /**
   * @param {HTMLElement} list
   * @param {(step: S) => void} onChoice gets each step that becomes the current one
   */
  constructor(list, onChoice) {
    this.#list = list;
    this.#onChoice = onChoice;
  }

  /**
   * Start again with another original.
   * @param {S} original
   */
  begin(original) {
    for (const { step } of this.#entries) step.picture.preview.close();
    this.#entries = [];
    this.#list.replaceChildren();
    this.add(original);
  }

  /**
   * Add a step after all others; it becomes the current one.
   * @param {S} step
   */
  add(step) {
    const index = this.#entries.length;
    const name = index ? t("Step {number}", { number: index }) : t("Original");
    const button = createElement("button", { type: "button", class: "step" }, thumbnailOf(step.picture.preview), createElement("span", {}, name));
    button.addEventListener("click", () => { this.#choose(index); });
    this.#list.append(createElement("li", {}, button));
    this.#entries.push({ step, button });
    this.#choose(index);
  }

  get current() {
    return this.#entries[this.#current]?.step;
  }

  get original() {
    return this.#entries[0]?.step;
  }

  get count() {
    return this.#entries.length;
  }

  /** @param {number} index */
  #choose(index) {
    this.#current = index;
    this.#entries.forEach(({ step, button }, at) => {
      if (at !== index) {
        button.removeAttribute("aria-current");
        return;
      }
      button.setAttribute("aria-current", "step");
      button.scrollIntoView({ block: "nearest", inline: "nearest" });
      this.#onChoice(step);
    });
  }
}

/** @param {ImageBitmap} preview */
function thumbnailOf(preview) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL;
  const scale = Math.max(THUMBNAIL / preview.width, THUMBNAIL / preview.height);
  const [width, height] = [preview.width * scale, preview.height * scale];
  const context = canvas.getContext("2d");
  if (context) {
    context.imageSmoothingQuality = "high";
    context.drawImage(preview, (THUMBNAIL - width) / 2, (THUMBNAIL - height) / 2, width, height);
  }
  return canvas;
}
