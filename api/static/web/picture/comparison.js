// Before and after on one stage, with a divider that hands and keys move.

const SWEEP_MS = 900;

export class Comparison {
  on = false;
  #view;
  #parts;
  #onSwitch;
  #share = 0.5;
  #sweeping = 0;

  /** `parts`: `divider`, `range`, `labels`; `onSwitch()` when it begins or ends. */
  constructor(view, parts, onSwitch) {
    this.#view = view;
    this.#parts = parts;
    this.#onSwitch = onSwitch;
    parts.range.addEventListener("input", () => this.#move(parts.range.value / 100));
    let held = false;
    parts.divider.addEventListener("pointerdown", (event) => {
      held = true;
      parts.divider.setPointerCapture(event.pointerId);
      parts.range.focus();
      event.preventDefault();
    });
    parts.divider.addEventListener("pointermove", (event) => {
      if (held) this.moveTo(event.clientX - parts.divider.parentElement.getBoundingClientRect().left);
    });
    parts.divider.addEventListener("lostpointercapture", () => (held = false));
  }

  /** Compare with this picture; `sweep` draws the divider across, once; `stay` leaves it where a person put it. */
  begin(before, { sweep = false, stay = false } = {}) {
    this.on = true;
    this.#view.scene.before = before;
    this.#switch();
    if (sweep && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.#sweep();
    else if (stay) this.#move(this.#share);
    else this.middle();
  }

  end() {
    if (!this.on) return;
    this.on = false;
    this.#sweeping += 1;
    this.#view.scene.before = this.#view.scene.divider = null;
    this.#switch();
    this.#view.redraw();
  }

  /** Put the divider in the middle. */
  middle() {
    this.#move(0.5);
  }

  /** Put the divider where this is on the stage. */
  moveTo(x) {
    this.#move(this.#view.toPicture([x, 0])[0] / this.#view.scene.picture.width);
  }

  /** Follow the picture, which was moved on the stage. */
  follow() {
    if (!this.on) return;
    const [x] = this.#view.toStage([this.#share * this.#view.scene.picture.width, 0]);
    this.#parts.divider.style.transform = `translateX(${x}px)`; // not left, which would count as a shift of the layout
  }

  #move(share) {
    this.#sweeping += 1;
    this.#place(share);
  }

  #place(share) {
    this.#share = Math.max(0, Math.min(1, share));
    this.#view.scene.divider = this.#share;
    this.#parts.range.value = Math.round(100 * this.#share);
    this.#view.redraw();
  }

  #sweep() {
    const mine = (this.#sweeping += 1);
    const began = performance.now();
    const step = (now) => {
      if (mine !== this.#sweeping) return;
      const part = Math.min(1, Math.max(0, (now - began) / SWEEP_MS));
      this.#place(1 - 0.5 * (1 - (1 - part) ** 3));
      if (part < 1) requestAnimationFrame(step);
    };
    this.#place(1);
    requestAnimationFrame(step);
  }

  #switch() {
    for (const part of [this.#parts.divider, ...this.#parts.labels]) part.hidden = !this.on;
    this.#onSwitch();
  }
}
