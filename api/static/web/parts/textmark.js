// A text as the mark, found in each picture by itself: by its words, by its place, or all text there is.

import { byId, inputById, selectById } from "../frame/dom.js";
import { number, t } from "../words/texts.js";

/** @import { Box } from "../picture/strokes.js" */
/** @typedef {{ texts: string[], area: string, all: boolean }} TextChoice `area`: an anchor, `drawn`, or empty */

const MOST_TEXTS = 20;
const MOST_AREAS = 8;
const DRAWN = "drawn";
const TWO_LETTERS = /[\p{L}\p{N}].*[\p{L}\p{N}]/u;

export class TextMark {
  /** @param {() => void} onChange */
  constructor(onChange) {
    for (const id of ["texts-said", "area", "any-text"]) {
      byId(id).addEventListener("input", () => {
        const { all } = this.#choice;
        byId("texts-said", HTMLTextAreaElement).disabled = selectById("area").disabled = all;
        onChange();
      });
    }
  }

  /** Whether boxes on a sample give the place. */
  get isDrawn() {
    return isDrawn(this.#choice);
  }

  /**
   * The next thing that the person has to do; null where nothing is missing.
   * @param {Box[]} boxes on the sample
   */
  missing(boxes) {
    return missingText(this.#choice, boxes.length);
  }

  /**
   * The mask as the API takes it.
   * @param {Box[]} boxes on a sample of this size
   * @param {number} width
   * @param {number} height
   */
  mask(boxes, width, height) {
    return textMask(this.#choice, boxes, width, height);
  }

  /** @returns {TextChoice} */
  get #choice() {
    return {
      texts: textsOf(byId("texts-said", HTMLTextAreaElement).value),
      area: selectById("area").value,
      all: inputById("any-text").checked,
    };
  }
}

/**
 * The texts of a field, one a line.
 * @param {string} value
 */
export function textsOf(value) {
  return value.split("\n").map((text) => text.trim()).filter(Boolean);
}

/** @param {TextChoice} choice */
export function isDrawn({ all, area }) {
  return !all && area === DRAWN;
}

/**
 * @param {TextChoice} choice
 * @param {number} boxes drawn on the sample
 */
export function missingText(choice, boxes) {
  const { texts, area, all } = choice;
  if (all) return null;
  if (texts.length > MOST_TEXTS) return t("Too many texts: {count} at most.", { count: number(MOST_TEXTS) });
  if (texts.some((text) => !TWO_LETTERS.test(text))) return t("Each text needs two letters or digits at least.");
  if (isDrawn(choice) && boxes > MOST_AREAS) return t("Too many boxes: {count} at most.", { count: number(MOST_AREAS) });
  if (isDrawn(choice) && !boxes) return t("Still missing: a box on the sample, where the mark lies.");
  return texts.length || area ? null : t("Still missing: what the mark says, or where it lies.");
}

/**
 * @param {TextChoice} choice
 * @param {Box[]} boxes
 * @param {number} width of the sample
 * @param {number} height
 */
export function textMask(choice, boxes, width, height) {
  const { texts, area, all } = choice;
  if (all) return { mode: "text", any_text: true };
  const share = (/** @type {number} */ value, /** @type {number} */ whole) => Math.round((1e5 * value) / whole) / 1e5;
  const drawn = boxes.map(([left, top, wide, high]) => [share(left, width), share(top, height), share(wide, width), share(high, height)]);
  const areas = isDrawn(choice) ? drawn : [area].filter(Boolean);
  return { mode: "text", ...(texts.length && { texts }), ...(areas.length && { areas }) };
}
