// The steps of a picture's repair: the original and each result, to look at, to go back to, to go on from.

import { t } from "../words/texts.js";

const THUMBNAIL = 96;

export class Steps {
  #list;
  #steps = [];
  #current = -1;
  #chosen;

  /** `chosen(step)` is called when another step becomes the current one. */
  constructor(list, chosen) {
    this.#list = list;
    this.#chosen = chosen;
  }

  /** Begin again with another original. */
  begin(step) {
    for (const old of this.#steps) old.picture.preview.close();
    this.#steps = [];
    this.#list.replaceChildren();
    this.add(step);
  }

  /** A step after all others, which becomes the current one. */
  add(step) {
    this.#steps.push(step);
    this.#list.append(this.#entry(step, this.#steps.length - 1));
    this.#choose(this.#steps.length - 1);
  }

  get current() {
    return this.#steps[this.#current];
  }

  get original() {
    return this.#steps[0];
  }

  get count() {
    return this.#steps.length;
  }

  #choose(index) {
    this.#current = index;
    [...this.#list.children].forEach((entry, at) => {
      entry.firstElementChild.toggleAttribute("aria-current", at === index);
      if (at === index) entry.firstElementChild.setAttribute("aria-current", "step");
    });
    this.#list.children[index].scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#chosen(this.current);
  }

  #entry(step, index) {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "step";
    const name = document.createElement("span");
    name.textContent = index ? t("Step {number}", { number: index }) : t("Original");
    button.append(thumbnail(step.picture), name);
    button.addEventListener("click", () => this.#choose(index));
    entry.append(button);
    return entry;
  }
}

function thumbnail({ preview }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL;
  const scale = Math.max(THUMBNAIL / preview.width, THUMBNAIL / preview.height);
  const [width, height] = [preview.width * scale, preview.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(preview, (THUMBNAIL - width) / 2, (THUMBNAIL - height) / 2, width, height);
  return canvas;
}
