// The steps of a picture's repair as a list: the original and each result, to look at, to return to, to continue from.

import { createElement } from "../frame/dom.js";
import { t } from "../words/texts.js";

/** @import { Step } from "./work.js" */

const THUMBNAIL = 96;

export class StepList {
  #list;
  #onChoice;
  /** @type {Map<Step, HTMLButtonElement>} */
  #buttons = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(step: Step) => void} onChoice
   */
  constructor(list, onChoice) {
    this.#list = list;
    this.#onChoice = onChoice;
  }

  /**
   * Show the steps of a work. A step that was painted on another one than its predecessor says on which.
   * @param {Step[]} steps
   * @param {Step} current
   */
  show(steps, current) {
    if (steps.some((step, index) => [...this.#buttons.keys()][index] !== step) || steps.length !== this.#buttons.size) this.#fill(steps);
    for (const [step, button] of this.#buttons) {
      if (step === current) {
        button.setAttribute("aria-current", "step");
        button.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else {
        button.removeAttribute("aria-current");
      }
    }
  }

  /** @param {Step[]} steps */
  #fill(steps) {
    this.#buttons.clear();
    const items = steps.map((step, index) => {
      const name = createElement("span", {}, nameOf(index));
      const parent = step.parent ? steps.indexOf(step.parent) : -1;
      if (index && parent !== index - 1) name.append(createElement("small", { class: "step-from" }, t("from “{step}”", { step: nameOf(parent) })));
      const button = createElement("button", { type: "button", class: "step" }, thumbnailOf(step.picture.preview), name);
      button.addEventListener("click", () => { this.#onChoice(step); });
      this.#buttons.set(step, button);
      return createElement("li", {}, button);
    });
    this.#list.replaceChildren(...items);
  }
}

/** @param {number} index of a step */
function nameOf(index) {
  return index ? t("Step {number}", { number: index }) : t("Original");
}

/** @param {ImageBitmap} preview */
export function thumbnailOf(preview) {
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
