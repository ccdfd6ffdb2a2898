// A picture before and after on the page's stage: by a divider, in turn, or only their difference.

import { buttonById, byId, inputById } from "../frame/dom.js";
import { Comparison } from "./comparison.js";
import { Gestures } from "./gestures.js";
import { Strokes } from "./strokes.js";
import { View } from "./view.js";

/** @import { Opened } from "./pairs.js" */
/** @import { Bounds } from "./strokes.js" */
/** @typedef {"slide" | "blink" | "difference"} Way of comparing */

const ENLARGE = 1.4;
const BLINK_MS = 500;

export class PairStage {
  /** @type {Way} */
  #way = "slide";
  /** @type {ReturnType<typeof setInterval> | undefined} The timer while before and after take turns. */
  #turns;
  #view = new View(byId("canvas", HTMLCanvasElement), () => { this.#comparison.follow(); });
  #comparison = new Comparison(
    this.#view,
    { divider: byId("divider"), range: inputById("divider-range"), labels: { before: byId("label-before"), after: byId("label-after") } },
    () => {},
  );

  constructor() {
    const canvas = byId("canvas", HTMLCanvasElement);
    new Gestures(canvas, this.#view, {
      tool: "hand", size: 1, comparing: true, locked: true,
      onShape() {}, onResize() {}, onDivide() {}, onNudge() {}, onTouch() { canvas.focus({ preventScroll: true }); },
    });
    const clicks = {
      "pair-larger": () => { this.#view.zoom(ENLARGE); },
      "pair-smaller": () => { this.#view.zoom(1 / ENLARGE); },
      "pair-fit": () => { this.#view.fit(); },
      "pair-blink": () => { this.#toggle("blink"); },
      "pair-difference": () => { this.#toggle("difference"); },
    };
    for (const [id, act] of Object.entries(clicks)) buttonById(id).addEventListener("click", act);
  }

  /**
   * Show a pair where the one before was, in the same way of comparing.
   * @param {Opened} opened
   */
  show([before, after]) {
    this.#view.show(after, new Strokes());
    this.#comparison.begin(before, { stay: true });
    this.#compare();
  }

  /**
   * Show a part of the picture, with the divider in its middle; the whole picture where there is none.
   * @param {Bounds | null} part as shares of the picture's sides
   */
  lookAt(part) {
    const { picture } = this.#view.scene;
    if (!part || !picture) {
      this.#view.fit();
      this.#comparison.center();
      return;
    }
    const [left, top, right, bottom] = part;
    this.#view.lookAt([left * picture.width, top * picture.height, right * picture.width, bottom * picture.height]);
    this.#comparison.place((left + right) / 2);
  }

  /** Show nothing. */
  clear() {
    this.#comparison.end();
    this.#view.clear();
    this.#compare();
  }

  /** Move the divider to the middle. */
  center() {
    this.#comparison.center();
  }

  /** Compare by the divider again. */
  rest() {
    this.#compareBy("slide");
  }

  /**
   * @param {string} key
   * @returns {boolean} whether the key did anything
   */
  onKey(key) {
    if (key === "b") this.#toggle("blink");
    else if (key === "d") this.#toggle("difference");
    else if (key === "+" || key === "=") this.#view.zoom(ENLARGE);
    else if (key === "-") this.#view.zoom(1 / ENLARGE);
    else if (key === "0") this.#view.fit();
    else return false;
    return true;
  }

  /** @param {Way} way */
  #toggle(way) {
    this.#compareBy(this.#way === way ? "slide" : way);
  }

  /** @param {Way} way */
  #compareBy(way) {
    this.#way = way;
    if (way !== "slide") keepFocus();
    for (const one of ["blink", "difference"]) buttonById(`pair-${one}`).setAttribute("aria-pressed", String(way === one));
    this.#compare();
  }

  /** Compare what is on the stage in the way that is chosen; before and after begin with before. */
  #compare() {
    clearInterval(this.#turns);
    this.#turns = undefined;
    if (this.#way !== "blink" || !this.#comparison.active) {
      this.#comparison.show(this.#way === "difference" ? "difference" : "slide");
      return;
    }
    let before = true;
    const turn = () => {
      this.#comparison.show(before ? "before" : "after");
      before = !before;
    };
    turn();
    this.#turns = setInterval(turn, BLINK_MS);
  }
}

/** Move the focus to the picture from the divider, which is about to be hidden: keys would reach nothing. */
function keepFocus() {
  if (document.activeElement === inputById("divider-range")) byId("canvas").focus({ preventScroll: true });
}
