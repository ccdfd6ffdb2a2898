// Mouse, pen, fingers and keys on the stage: they paint strokes and areas, and move the view.
//
// One pointer uses the tool. Two fingers, the middle button, the hand and the held space bar move the view; Ctrl and wheel
// enlarge it.

/** @import { Point } from "./strokes.js" */
/** @import { View } from "./view.js" */
/** @typedef {"select" | "brush" | "eraser" | "rectangle" | "lasso" | "hand"} Tool */
/**
 * The state of the tools, and listeners. `size` is the brush's, in pixels of the picture; `locked`: nothing may be painted.
 * @typedef {{
 *   readonly tool: Tool,
 *   readonly size: number,
 *   readonly comparing: boolean,
 *   readonly locked: boolean,
 *   onShape(shape: import("./strokes.js").Shape): void,
 *   onResize(factor: number): void,
 *   onDivide(x: number): void,
 *   onNudge(direction: number): void,
 *   onTouch(): void,
 * }} Bench
 */

/** @type {Partial<Record<string, Point>>} */
const KEY_STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PEN_ERASER = 32;

export class Gestures {
  #canvas;
  #view;
  #bench;
  /** @type {Map<number, Point>} */
  #pointers = new Map();
  /** @type {"pinch" | "pan" | "divide" | "draw" | null} */
  #mode = null;
  /** @type {Point | null} */
  #cursor = null;
  /** @type {"up" | "held" | "panned"} The space bar. */
  #space = "up";

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {View} view
   * @param {Bench} bench
   */
  constructor(canvas, view, bench) {
    this.#canvas = canvas;
    this.#view = view;
    this.#bench = bench;
    canvas.addEventListener("pointerdown", (event) => { this.#press(event); });
    canvas.addEventListener("pointermove", (event) => { this.#move(event); });
    canvas.addEventListener("pointerup", (event) => { this.#release(event); });
    canvas.addEventListener("pointercancel", (event) => { this.#release(event, true); });
    canvas.addEventListener("pointerleave", () => { this.#hover(null); });
    // A stroke is no gesture of the browser's: after what it takes for a fling, Chromium swallows the next tap.
    canvas.addEventListener("touchstart", (event) => { event.preventDefault(); }, { passive: false });
    canvas.addEventListener("wheel", (event) => { this.#wheel(event); }, { passive: false });
    canvas.addEventListener("keydown", (event) => { this.#key(event); });
    canvas.addEventListener("keyup", (event) => { this.#liftSpace(event); });
    canvas.addEventListener("blur", () => {
      this.#space = "up";
      this.#hover(null);
    });
    canvas.addEventListener("contextmenu", (event) => { event.preventDefault(); });
  }

  /** Drop the shape that is being drawn. */
  cancel() {
    if (this.#view.scene.live) {
      this.#view.scene.live = null;
      this.#view.repaint();
    }
    this.#mode = null;
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const point = this.#pointOf(event);
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size === 2 && event.pointerType === "touch") {
      this.cancel();
      this.#mode = "pinch";
    } else if (this.#pointers.size === 1) {
      if (this.#space !== "up") this.#space = "panned";
      if (event.button === 1 || this.#bench.tool === "hand" || this.#space === "panned") this.#mode = "pan";
      else if (this.#bench.comparing) this.#mode = "divide";
      else if (!this.#bench.locked && event.button !== 2) {
        this.#mode = "draw";
        this.#begin(this.#view.toPicture(point), Boolean(event.buttons & PEN_ERASER));
      }
    }
    if (this.#mode === "divide") this.#bench.onDivide(point[0]);
    this.#bench.onTouch();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const point = this.#pointOf(event);
    if (!before) {
      if (event.pointerType !== "touch") this.#hover(point);
      return;
    }
    if (this.#mode === "pinch") this.#pinch(event.pointerId, before, point);
    else if (this.#mode === "pan") this.#view.pan(point[0] - before[0], point[1] - before[1]);
    else if (this.#mode === "divide") this.#bench.onDivide(point[0]);
    else if (this.#mode === "draw") {
      const coalesced = event.getCoalescedEvents();
      for (const one of coalesced.length ? coalesced : [event]) this.#extend(this.#view.toPicture(this.#pointOf(one)));
      if (event.pointerType !== "touch") this.#hover(point);
    }
    this.#pointers.set(event.pointerId, point);
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} [canceled]
   */
  #release(event, canceled = false) {
    if (!this.#pointers.delete(event.pointerId)) return;
    const drew = this.#mode === "draw";
    if (drew && canceled) this.cancel();
    else if (drew) this.#finish();
    if (drew || this.#pointers.size === 0) this.#mode = null;
  }

  /**
   * @param {number} id of the pointer that moves
   * @param {Point} before
   * @param {Point} point
   */
  #pinch(id, before, point) {
    const [other] = [...this.#pointers].filter(([key]) => key !== id).map(([, place]) => place);
    if (!other) return;
    const distance = (/** @type {Point} */ [x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    this.#view.pan((point[0] - before[0]) / 2, (point[1] - before[1]) / 2);
    this.#view.zoom(distance(point) / distance(before), [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2]);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002));
    const resizes = !event.ctrlKey && !event.metaKey && !this.#bench.comparing && isRound(this.#bench.tool);
    if (resizes) {
      this.#bench.onResize(factor);
      this.#hover(this.#pointOf(event));
    } else {
      this.#view.zoom(event.ctrlKey ? factor ** 3 : factor, this.#pointOf(event));
    }
  }

  /**
   * Arrow keys move a cursor, or the divider; the space bar puts the tool down and lifts it when it is released. Keys can
   * paint all that a pointer can.
   * @param {KeyboardEvent} event
   */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = KEY_STEPS[event.key];
    if (event.key === "Escape") {
      this.cancel();
    } else if (event.key === " ") {
      if (this.#space === "up") this.#space = "held";
    } else if (!step) {
      return;
    } else if (this.#bench.tool === "hand") {
      this.#view.pan(-40 * step[0], -40 * step[1]);
    } else if (this.#bench.comparing) {
      if (!step[0]) return;
      this.#bench.onNudge(step[0]);
    } else if (this.#bench.locked) {
      return;
    } else {
      this.#paintByKey(step, event.shiftKey);
    }
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #liftSpace(event) {
    if (event.key !== " ") return;
    const held = this.#space === "held";
    this.#space = "up";
    if (held && !this.#bench.comparing && !this.#bench.locked && this.#bench.tool !== "hand") this.#paintByKey(undefined, false);
  }

  /**
   * @param {Point | undefined} step of the cursor; without one the tool is put down or lifted
   * @param {boolean} fine
   */
  #paintByKey(step, fine) {
    const { picture, live } = this.#view.scene;
    if (!picture) return;
    let cursor = this.#cursor ?? /** @type {Point} */ ([picture.width / 2, picture.height / 2]);
    if (step) {
      const stride = fine ? 1 / this.#view.scale : Math.max(this.#bench.size / 2, 4 / this.#view.scale);
      const clamp = (/** @type {number} */ value, /** @type {number} */ most) => Math.max(0, Math.min(most, value));
      cursor = [clamp(cursor[0] + step[0] * stride, picture.width), clamp(cursor[1] + step[1] * stride, picture.height)];
      if (live) this.#extend(cursor);
    } else if (live) this.#finish();
    else this.#begin(cursor, false);
    this.#cursor = cursor;
    this.#view.reveal(cursor);
    this.#showCursor();
  }

  /**
   * @param {Point} at of the picture
   * @param {boolean} eraser whether a pen is turned around
   */
  #begin(at, eraser) {
    const { tool, size } = this.#bench;
    if (isRound(tool)) {
      this.#view.scene.live = { kind: "line", size, points: [at], erases: eraser || tool === "eraser" };
    } else {
      this.#view.scene.live = { kind: "area", points: tool === "lasso" ? [at] : [at, at, at, at], erases: eraser };
    }
    this.#view.grow();
  }

  /** @param {Point} at of the picture */
  #extend(at) {
    const { live } = this.#view.scene;
    const from = live?.points[0];
    const last = live?.points.at(-1);
    if (!live || !from || !last) return;
    if (this.#bench.tool === "rectangle" && live.kind === "area") {
      live.points = [from, [at[0], from[1]], at, [from[0], at[1]]];
    } else {
      if (Math.hypot(at[0] - last[0], at[1] - last[1]) * this.#view.scale < 0.75) return;
      live.points.push(at);
    }
    this.#view.grow();
  }

  #finish() {
    const { live } = this.#view.scene;
    this.#view.scene.live = null;
    if (live && (live.kind === "line" || live.points.length > 2)) this.#bench.onShape(live);
  }

  /** @param {Point | null} point of the stage; null: the pointer is elsewhere */
  #hover(point) {
    this.#cursor = point ? this.#view.toPicture(point) : null;
    this.#showCursor();
  }

  #showCursor() {
    const { tool, size, comparing, locked } = this.#bench;
    const paints = !comparing && !locked && tool !== "hand";
    const round = isRound(tool);
    const { scene } = this.#view;
    scene.cursor = this.#cursor && paints ? { at: this.#cursor, size: round ? size : 0, down: Boolean(scene.live) } : null;
    this.#view.redraw();
  }

  /**
   * @param {MouseEvent} event
   * @returns {Point}
   */
  #pointOf(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

/**
 * Whether a tool draws lines of the brush's size.
 * @param {Tool} tool
 */
function isRound(tool) {
  return tool === "brush" || tool === "eraser" || tool === "select";
}
