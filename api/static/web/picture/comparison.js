// The picture before and after on one stage, with a divider that pointers and keys move.

/** @import { Picture } from "./picture.js" */
/** @import { View } from "./view.js" */

const SWEEP_MS = 900;

export class Comparison {
  active = false;
  #view;
  #parts;
  #onSwitch;
  #share = 0.5;
  #sweep = 0;
  #names;

  /**
   * @param {View} view
   * @param {{ divider: HTMLElement, range: HTMLInputElement, labels: { before: HTMLElement, after: HTMLElement } }} parts
   * @param {() => void} onSwitch runs when the comparison begins or ends
   */
  constructor(view, parts, onSwitch) {
    this.#view = view;
    this.#parts = parts;
    this.#onSwitch = onSwitch;
    this.#names = { before: parts.labels.before.textContent, after: parts.labels.after.textContent };
    const { divider, range } = parts;
    range.addEventListener("input", () => { this.#move(Number(range.value) / 100); });
    let held = false;
    divider.addEventListener("pointerdown", (event) => {
      held = true;
      divider.setPointerCapture(event.pointerId);
      range.focus();
      event.preventDefault();
    });
    divider.addEventListener("touchstart", (event) => { event.preventDefault(); }, { passive: false }); // as on the canvas
    divider.addEventListener("pointermove", (event) => {
      const stage = divider.parentElement ?? divider;
      if (held) this.moveTo(event.clientX - stage.getBoundingClientRect().left);
    });
    divider.addEventListener("lostpointercapture", () => (held = false));
  }

  /**
   * Compare with the picture before.
   * @param {Picture} before
   * @param {{ sweep?: boolean, stay?: boolean, names?: { before: string, after: string } }} [options] `sweep` draws the
   *   divider across once; `stay` leaves it in its place; `names` of the two pictures, where they are no before and after
   */
  begin(before, { sweep = false, stay = false, names = this.#names } = {}) {
    this.active = true;
    this.#parts.labels.before.textContent = names.before;
    this.#parts.labels.after.textContent = names.after;
    this.#view.scene.before = before;
    this.#switch();
    if (sweep && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.#startSweep();
    else if (stay) this.#move(this.#share);
    else this.center();
  }

  end() {
    if (!this.active) return;
    this.active = false;
    this.#sweep += 1;
    this.#view.scene.before = this.#view.scene.divider = null;
    this.#switch();
    this.#view.redraw();
  }

  /** Move the divider to the middle. */
  center() {
    this.#move(0.5);
  }

  /**
   * Move the divider to a share of the picture's width.
   * @param {number} share
   */
  place(share) {
    this.#move(share);
  }

  /**
   * Compare by the divider or by the difference, or show one of the two alone.
   * @param {"slide" | "difference" | "before" | "after"} way
   */
  show(way) {
    const { scene } = this.#view;
    scene.difference = way === "difference";
    scene.peek = way === "before" ? scene.before : way === "after" ? scene.picture : null;
    this.#parts.divider.hidden = !this.active || way !== "slide";
    for (const [name, label] of Object.entries(this.#parts.labels)) label.hidden = !this.active || (way !== "slide" && way !== name);
    this.#view.redraw();
  }

  /**
   * Move the divider to this place of the stage.
   * @param {number} x in CSS pixels
   */
  moveTo(x) {
    const { picture } = this.#view.scene;
    if (picture) this.#move(this.#view.toPicture([x, 0])[0] / picture.width);
  }

  /**
   * Move the divider by a fiftieth of the picture.
   * @param {number} direction -1: to the left, 1: to the right
   */
  nudge(direction) {
    this.#move(this.#share + direction / 50);
  }

  /** Keep the divider with the picture, which has moved on the stage. */
  follow() {
    const { picture } = this.#view.scene;
    if (!this.active || !picture) return;
    const [x] = this.#view.toStage([this.#share * picture.width, 0]);
    this.#parts.divider.style.transform = `translateX(${x}px)`; // not `left`, which would count as a shift of the layout
  }

  /**
   * @param {number} share
   */
  #move(share) {
    this.#sweep += 1;
    this.#place(share);
  }

  /** @param {number} share */
  #place(share) {
    this.#share = Math.max(0, Math.min(1, share));
    this.#view.scene.divider = this.#share;
    this.#parts.range.value = String(Math.round(100 * this.#share));
    this.#view.redraw();
  }

  #startSweep() {
    const mine = (this.#sweep += 1);
    const start = performance.now();
    const step = (/** @type {number} */ now) => {
      if (mine !== this.#sweep) return;
      const part = Math.min(1, Math.max(0, (now - start) / SWEEP_MS));
      this.#place(1 - 0.5 * (1 - (1 - part) ** 3));
      if (part < 1) requestAnimationFrame(step);
    };
    this.#place(1);
    requestAnimationFrame(step);
  }

  #switch() {
    for (const part of [this.#parts.divider, ...Object.values(this.#parts.labels)]) part.hidden = !this.active;
    this.#onSwitch();
  }
}
