// The painted strokes as shapes in the picture's own pixels: drawn at any size, undone and redone one by one.

/** @typedef {[x: number, y: number]} Point */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Bounds whole pixels */
/** @typedef {[left: number, top: number, width: number, height: number]} Box whole pixels */
/** @typedef {{ kind: "line", size: number, points: Point[], erases: boolean }} Line */
/** @typedef {{ kind: "area", points: Point[], erases: boolean }} Area */
/** @typedef {Line | Area} Shape */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */

export class Strokes {
  /** @type {(Shape | { kind: "clear" })[]} */
  #done = [];
  /** @type {(Shape | { kind: "clear" })[]} */
  #undone = [];

  /** @param {Shape | { kind: "clear" }} shape */
  add(shape) {
    this.#done.push(shape);
    this.#undone = [];
  }

  undo() {
    const last = this.#done.pop();
    if (last) this.#undone.push(last);
  }

  redo() {
    const next = this.#undone.pop();
    if (next) this.#done.push(next);
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Whether nothing can be marked: nothing is painted since the last clearing. */
  get isEmpty() {
    return this.#shapes().every((shape) => shape.erases);
  }

  /**
   * Draw all shapes with the context's fill style, which must be opaque.
   * @param {Context} context
   */
  draw(context) {
    for (const shape of this.#shapes()) drawShape(context, shape);
  }

  /**
   * The bounds of all marks within a picture of this size; null where there are none.
   * @param {number} width
   * @param {number} height
   */
  bounds(width, height) {
    return boundsOf(this.#shapes().filter((shape) => !shape.erases), width, height);
  }

  /**
   * The areas as boxes within a picture of this size.
   * @param {number} width
   * @param {number} height
   * @returns {Box[]}
   */
  boxes(width, height) {
    const areas = this.#shapes().filter((shape) => shape.kind === "area" && !shape.erases);
    const bounds = areas.map((area) => boundsOf([area], width, height)).filter((box) => box !== null);
    return bounds.map(([left, top, right, bottom]) => [left, top, right - left, bottom - top]);
  }

  /** @returns {Shape[]} the shapes since the last clearing */
  #shapes() {
    const cleared = this.#done.findLastIndex((shape) => shape.kind === "clear");
    return this.#done.slice(cleared + 1).filter((shape) => shape.kind !== "clear");
  }
}

/**
 * @param {Shape[]} shapes
 * @param {number} width
 * @param {number} height
 * @returns {Bounds | null}
 */
function boundsOf(shapes, width, height) {
  /** @type {Bounds} */
  const bounds = [width, height, 0, 0];
  for (const shape of shapes) {
    const reach = shape.kind === "line" ? shape.size / 2 + 1 : 1;
    const [across, down] = [shape.points.map(([x]) => x), shape.points.map(([, y]) => y)];
    const left = Math.max(0, Math.floor(least(across) - reach));
    const top = Math.max(0, Math.floor(least(down) - reach));
    const right = Math.min(width, Math.ceil(most(across) + reach));
    const bottom = Math.min(height, Math.ceil(most(down) + reach));
    if (left >= right || top >= bottom) continue; // outside the picture
    bounds[0] = Math.min(bounds[0], left);
    bounds[1] = Math.min(bounds[1], top);
    bounds[2] = Math.max(bounds[2], right);
    bounds[3] = Math.max(bounds[3], bottom);
  }
  return bounds[0] < bounds[2] ? bounds : null;
}

/** @param {number[]} values */
function least(values) {
  return values.reduce((one, other) => Math.min(one, other), Infinity);
}

/** @param {number[]} values */
function most(values) {
  return values.reduce((one, other) => Math.max(one, other), -Infinity);
}

/**
 * Draw one shape, or the points of a line from `from` on.
 * @param {Context} context
 * @param {Shape} shape
 * @param {number} [from] the first point that is not drawn yet
 */
export function drawShape(context, shape, from = 0) {
  context.globalCompositeOperation = shape.erases ? "destination-out" : "source-over";
  context.beginPath();
  if (shape.kind === "line") {
    const points = shape.points.slice(Math.max(0, from - 1));
    context.lineWidth = shape.size;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle;
    trace(context, points);
    const [first, second] = points;
    if (first && !second) context.lineTo(first[0] + 1e-3, first[1]); // a line needs a length, also for a dot
    context.stroke();
  } else {
    trace(context, shape.points);
    context.closePath();
    context.fill();
  }
  context.globalCompositeOperation = "source-over";
}

/**
 * @param {Context} context
 * @param {Point[]} points
 */
function trace(context, points) {
  points.forEach(([x, y], index) => {
    if (index) context.lineTo(x, y);
    else context.moveTo(x, y);
  });
}
