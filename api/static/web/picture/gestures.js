// Hands on the stage: mouse, pen, fingers and keys become strokes of the brush, areas, and moves of the view.
//
// One pointer uses the tool; two fingers, the middle button or the hand tool move the view; Ctrl and wheel enlarge.

const KEY_STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PEN_ERASER = 32;

/**
 * `bench`: `tool`, `size` (pixels of the picture), `comparing`, `locked` (nothing may be painted now), and what is told:
 * `finished(shape)`, `resized(factor)`, `divided(x)`, `touched()`.
 */
export class Gestures {
  #canvas;
  #view;
  #bench;
  #pointers = new Map();
  #mode = null;
  #cursor = null;

  constructor(canvas, view, bench) {
    this.#canvas = canvas;
    this.#view = view;
    this.#bench = bench;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event, true));
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Leave off what is being drawn. */
  cancel() {
    if (this.#view.scene.live) {
      this.#view.scene.live = null;
      this.#view.repaint();
    }
    this.#mode = null;
  }

  #down(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#point(event));
    if (this.#pointers.size === 2 && event.pointerType === "touch") {
      this.cancel();
      this.#mode = "pinch";
    } else if (this.#pointers.size === 1) {
      const moves = event.button === 1 || this.#bench.tool === "hand";
      if (moves) this.#mode = "pan";
      else if (this.#bench.comparing) this.#mode = "divide";
      else if (!this.#bench.locked && event.button !== 2) {
        this.#mode = "draw";
        this.#begin(this.#view.toPicture(this.#point(event)), Boolean(event.buttons & PEN_ERASER));
      }
    }
    if (this.#mode === "divide") this.#bench.divided(this.#point(event)[0]);
    this.#bench.touched();
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const point = this.#point(event);
    if (!before) {
      if (event.pointerType !== "touch") this.#hover(point);
      return;
    }
    if (this.#mode === "pinch") this.#pinch(event.pointerId, before, point);
    else if (this.#mode === "pan") this.#view.pan(point[0] - before[0], point[1] - before[1]);
    else if (this.#mode === "divide") this.#bench.divided(point[0]);
    else if (this.#mode === "draw") {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) this.#extend(this.#view.toPicture(this.#point(one)));
      if (event.pointerType !== "touch") this.#hover(point);
    }
    this.#pointers.set(event.pointerId, point);
  }

  #up(event, canceled = false) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#mode === "draw") {
      if (canceled) this.cancel();
      else this.#finish();
    }
    if (this.#pointers.size === 0) this.#mode = null;
    else if (this.#mode === "draw") this.#mode = null;
  }

  #pinch(id, before, point) {
    const [other] = [...this.#pointers].filter(([key]) => key !== id).map(([, at]) => at);
    if (!other) return;
    const middle = (a) => [(a[0] + other[0]) / 2, (a[1] + other[1]) / 2];
    const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
    const [from, to] = [middle(before), middle(point)];
    this.#view.pan(to[0] - from[0], to[1] - from[1]);
    this.#view.zoom(apart(point) / apart(before), to);
  }

  #wheel(event) {
    event.preventDefault();
    const turned = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002));
    const sizes = !event.ctrlKey && !event.metaKey && !this.#bench.comparing && ["brush", "eraser"].includes(this.#bench.tool);
    if (sizes) {
      this.#bench.resized(turned);
      this.#hover(this.#point(event));
    } else {
      this.#view.zoom(event.ctrlKey ? turned ** 3 : turned, this.#point(event));
    }
  }

  /** Arrows move a cursor, the space bar puts the tool down and lifts it: what a pointer can paint, keys can. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = KEY_STEPS[event.key];
    if (event.key === "Escape") {
      this.cancel();
    } else if (this.#bench.comparing || this.#bench.locked || !(step || event.key === " ")) {
      return;
    } else if (this.#bench.tool === "hand") {
      if (step) this.#view.pan(-40 * step[0], -40 * step[1]);
    } else {
      const { picture, live } = this.#view.scene;
      const at = this.#cursor ?? [picture.width / 2, picture.height / 2];
      if (step) {
        const stride = event.shiftKey ? 1 / this.#view.scale : Math.max(this.#bench.size / 2, 4 / this.#view.scale);
        const within = (value, most) => Math.max(0, Math.min(most, value));
        this.#cursor = [within(at[0] + step[0] * stride, picture.width), within(at[1] + step[1] * stride, picture.height)];
        if (live) this.#extend(this.#cursor);
      } else {
        this.#cursor = at;
        if (live) this.#finish();
        else this.#begin(at, false);
      }
      this.#view.reveal(this.#cursor);
      this.#show();
    }
    event.preventDefault();
  }

  #begin(at, eraser) {
    const { tool, size } = this.#bench;
    if (tool === "brush" || tool === "eraser") {
      this.#view.scene.live = { kind: "line", size, points: [at], erases: eraser || tool === "eraser" };
    } else {
      this.#view.scene.live = { kind: "area", points: tool === "lasso" ? [at] : [at, at, at, at], erases: eraser };
    }
    this.#view.grow();
  }

  #extend(at) {
    const { live } = this.#view.scene;
    if (!live) return;
    if (this.#bench.tool === "rectangle" && live.kind === "area") {
      const [from] = live.points;
      live.points = [from, [at[0], from[1]], at, [from[0], at[1]]];
    } else {
      const last = live.points.at(-1);
      if (Math.hypot(at[0] - last[0], at[1] - last[1]) * this.#view.scale < 0.75) return;
      live.points.push(at);
    }
    this.#view.grow();
  }

  #finish() {
    const { live } = this.#view.scene;
    this.#view.scene.live = null;
    if (live && (live.kind === "line" || live.points.length > 2)) this.#bench.finished(live);
  }

  #hover(point) {
    this.#cursor = point ? this.#view.toPicture(point) : null;
    this.#show();
  }

  #show() {
    const { tool, size, comparing, locked } = this.#bench;
    const shown = this.#cursor && !comparing && !locked && tool !== "hand";
    const round = tool === "brush" || tool === "eraser";
    this.#view.scene.cursor = shown ? { at: this.#cursor, size: round ? size : 0, down: Boolean(this.#view.scene.live) } : null;
    this.#view.redraw();
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}
