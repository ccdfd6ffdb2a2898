// Text that is the mark, looked for in each picture by itself: what it says, where it lies, or all text there is.

import { number, t } from "../words/texts.js";

const MOST_TEXTS = 20;
const MOST_AREAS = 8;
const DRAWN = "drawn";
const at = (id) => document.getElementById(id);

export class TextMark {
  /** `changed()` is told when something else is said. */
  constructor(changed) {
    for (const id of ["texts-said", "area", "any-text"]) {
      at(id).addEventListener("input", () => {
        at("texts-said").disabled = at("area").disabled = this.#all;
        changed();
      });
    }
  }

  /** Whether boxes on a sample say where it lies. */
  get drawn() {
    return !this.#all && at("area").value === DRAWN;
  }

  /** What is still to be said, `boxes` being drawn on the sample; null where nothing is. */
  missing(boxes) {
    const texts = this.#texts;
    if (this.#all) return null;
    if (texts.length > MOST_TEXTS) return t("Too many texts: {count} at most.", { count: number(MOST_TEXTS) });
    if (texts.some((text) => !/[\p{L}\p{N}].*[\p{L}\p{N}]/u.test(text))) return t("Each text needs two letters or digits at least.");
    if (this.drawn && boxes.length > MOST_AREAS) return t("Too many boxes: {count} at most.", { count: number(MOST_AREAS) });
    if (this.drawn && !boxes.length) return t("Still missing: a box on the sample, where the mark lies.");
    return texts.length || at("area").value ? null : t("Still missing: what the mark says, or where it lies.");
  }

  /** As the API takes it; `boxes` are left, top, width and height on a sample of this size. */
  asked(boxes, width, height) {
    if (this.#all) return { mode: "text", any_text: true };
    const shares = boxes.map((box) => box.map((value, index) => Math.round((1e5 * value) / (index % 2 ? height : width)) / 1e5));
    const areas = this.drawn ? shares : [at("area").value].filter(Boolean);
    const texts = this.#texts;
    return { mode: "text", ...(texts.length && { texts }), ...(areas.length && { areas }) };
  }

  get #all() {
    return at("any-text").checked;
  }

  get #texts() {
    return at("texts-said").value.split("\n").map((text) => text.trim()).filter(Boolean);
  }
}
