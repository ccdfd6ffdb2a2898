// A pair compared closely, in a dialog: first its preview, then the whole pictures.

import { buttonById, byId, createElement, dialogById, inputById, isAbort } from "../frame/dom.js";
import { t } from "../words/texts.js";
import { changedShare } from "./changes.js";
import { Comparison } from "./comparison.js";
import { Gestures } from "./gestures.js";
import { Strokes } from "./strokes.js";
import { View } from "./view.js";

/** @import { Opened, Pair } from "./pairs.js" */
/** @typedef {"slide" | "difference" | "before"} Way of comparing */

const ENLARGE = 1.4;
const BLINK_MS = 500;

export class Zoom {
  #dialog = dialogById("zoom");
  /** @type {Pair[]} */
  #pairs = [];
  /** @type {Pair | null} */
  #current = null;
  /** @type {AbortController | null} */
  #loading = null;
  /** @type {Way} */
  #way = "slide";
  /** @type {ReturnType<typeof setInterval> | undefined} The timer while before and after take turns. */
  #blinking;
  #view = new View(byId("canvas", HTMLCanvasElement), () => { this.#comparison.follow(); });
  #comparison = new Comparison(
    this.#view,
    { divider: byId("divider"), range: inputById("divider-range"), labels: [byId("label-before"), byId("label-after")] },
    () => {},
  );

  constructor() {
    const canvas = byId("canvas", HTMLCanvasElement);
    new Gestures(canvas, this.#view, {
      tool: "hand", size: 1, comparing: true, locked: true,
      onShape() {}, onResize() {}, onDivide() {}, onNudge() {}, onTouch() { canvas.focus({ preventScroll: true }); },
    });
    const clicks = {
      "zoom-close": () => { this.#dialog.close(); },
      "zoom-in": () => { this.#view.zoom(ENLARGE); },
      "zoom-out": () => { this.#view.zoom(1 / ENLARGE); },
      "zoom-fit": () => { this.#view.fit(); },
      "zoom-previous": () => { this.#step(-1); },
      "zoom-next": () => { this.#step(1); },
      "zoom-blink": () => { this.#blink(this.#blinking === undefined); },
      "zoom-difference": () => { this.#compareBy(this.#way === "difference" ? "slide" : "difference"); },
    };
    for (const [id, act] of Object.entries(clicks)) buttonById(id).addEventListener("click", act);
    this.#dialog.addEventListener("keydown", (event) => {
      if (this.#onKey(event.key)) event.preventDefault();
    });
    this.#dialog.addEventListener("close", () => {
      this.#loading?.abort();
      this.#blink(false);
      this.#current = null;
    });
  }

  /**
   * Show a pair; the keys step through the others. The dialog shows errors itself.
   * @param {Pair} pair
   * @param {Pair[]} pairs
   */
  async open(pair, pairs) {
    if (!this.#dialog.open) {
      this.#comparison.center();
      this.#dialog.showModal();
    }
    this.#loading?.abort();
    const { signal } = (this.#loading = new AbortController());
    [this.#current, this.#pairs] = [pair, pairs];
    this.#showFrame(pair);
    const note = byId("zoom-keys");
    note.textContent = t("Loading…");
    try {
      const preview = await pair.openPreview(signal);
      signal.throwIfAborted(); // another pair is shown by now
      this.#show(preview);
      this.#lookAtChange(preview);
      const text = await this.#openWhole(pair, signal);
      signal.throwIfAborted();
      note.textContent = text;
    } catch (error) {
      if (signal.aborted) return;
      note.replaceChildren(createElement("span", { lang: "en" }, error instanceof Error ? error.message : String(error)));
    }
  }

  /** @param {Pair} pair */
  #showFrame(pair) {
    const download = byId("zoom-download", HTMLAnchorElement);
    byId("zoom-name").textContent = pair.name;
    byId("zoom-facts").textContent = pair.facts;
    download.hidden = !pair.download;
    if (pair.download) download.href = pair.download;
    const index = this.#index;
    buttonById("zoom-previous").disabled = index <= 0;
    buttonById("zoom-next").disabled = index < 0 || index === this.#pairs.length - 1;
  }

  /**
   * Show the whole pictures if the browser can. Resolves to the note for the reader.
   * @param {Pair} pair
   * @param {AbortSignal} signal
   */
  async #openWhole(pair, signal) {
    if (!pair.openWhole) return pair.hint;
    try {
      const whole = await pair.openWhole(signal);
      signal.throwIfAborted();
      this.#show(whole);
      return t("Drag the picture to move it, the divider to compare; the wheel enlarges.");
    } catch (error) {
      if (isAbort(error)) throw error;
      return pair.hint;
    }
  }

  /** @param {Opened} opened */
  #show([before, after]) {
    this.#view.show(after, new Strokes());
    this.#comparison.begin(before, { stay: true });
    this.#comparison.show(this.#way);
  }

  /**
   * Show the place that has changed, with the divider in its middle.
   * @param {Opened} opened
   */
  #lookAtChange([before, after]) {
    const share = changedShare(before.preview, after.preview);
    if (!share) {
      this.#view.fit();
      this.#comparison.center();
      return;
    }
    const [left, top, right, bottom] = share;
    this.#view.lookAt([left * after.width, top * after.height, right * after.width, bottom * after.height]);
    this.#comparison.place((left + right) / 2);
  }

  /** @param {Way} way */
  #compareBy(way) {
    this.#blink(false);
    this.#way = way;
    if (way !== "slide") keepFocus();
    this.#comparison.show(way);
    buttonById("zoom-difference").setAttribute("aria-pressed", String(way === "difference"));
  }

  /**
   * Let before and after take turns, or stop it.
   * @param {boolean} on
   */
  #blink(on) {
    clearInterval(this.#blinking);
    this.#blinking = undefined;
    let before = on;
    const turn = () => {
      this.#comparison.show(before ? "before" : this.#way);
      before = !before;
    };
    if (on) {
      keepFocus();
      this.#way = "slide";
      buttonById("zoom-difference").setAttribute("aria-pressed", "false");
      this.#blinking = setInterval(turn, BLINK_MS);
    }
    turn();
    buttonById("zoom-blink").setAttribute("aria-pressed", String(on));
  }

  get #index() {
    return this.#pairs.findIndex((pair) => pair.key === this.#current?.key);
  }

  /** @param {number} by */
  #step(by) {
    const next = this.#pairs[this.#index + by];
    if (next) void this.open(next, this.#pairs);
  }

  /**
   * @param {string} key
   * @returns {boolean} whether the key did anything
   */
  #onKey(key) {
    if (key === "PageUp" || key === "k") this.#step(-1);
    else if (key === "PageDown" || key === "j") this.#step(1);
    else if (key === "b") this.#blink(this.#blinking === undefined);
    else if (key === "d") this.#compareBy(this.#way === "difference" ? "slide" : "difference");
    else if (key === "+" || key === "=") this.#view.zoom(ENLARGE);
    else if (key === "-") this.#view.zoom(1 / ENLARGE);
    else if (key === "0") this.#view.fit();
    else return false;
    return true;
  }
}

/** Move the focus to the picture from the divider, which is about to be hidden: keys would reach nothing. */
function keepFocus() {
  if (document.activeElement === inputById("divider-range")) byId("canvas").focus({ preventScroll: true });
}
