// The painted strokes as shapes in the picture's own pixels: drawn at any size, undone and redone one by one.

/** @typedef {[x: number, y: number]} Point */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Bounds whole pixels */
/** @typedef {[left: number, top: number, width: number, height: number]} Box whole pixels */
/** @typedef {{ kind: "line", size: number, points: Point[], erases: boolean }} Line */
/** @typedef {{ kind: "area", points: Point[], erases: boolean }} Area */
/**
 * Single pixels, as a mask's file or a click selects them: x, y and length of each run, row by row.
 * @typedef {{ kind: "pixels", runs: Int32Array, erases: boolean }} Pixels
 */
/** @typedef {Line | Area} Drawn */
/** @typedef {Drawn | Pixels} Shape */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ done: (Shape | { kind: "clear" })[], undone: (Shape | { kind: "clear" })[] }} StrokesState */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */

export class Strokes {
  /** @type {(Shape | { kind: "clear" })[]} */
  #done = [];
  /** @type {(Shape | { kind: "clear" })[]} */
  #undone = [];

  /**
   * Strokes with the shapes that `state` returned.
   * @param {StrokesState} state
   */
  static from({ done, undone }) {
    const strokes = new Strokes();
    strokes.#done = [...done];
    strokes.#undone = [...undone];
    return strokes;
  }

  /**
   * All shapes, also the undone ones, as the browser can keep them.
   * @returns {StrokesState}
   */
  get state() {
    return { done: [...this.#done], undone: [...this.#undone] };
  }

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
    return this.shapes.every((shape) => shape.erases);
  }

  /**
   * Draw all shapes with the context's fill style, which must be opaque.
   * @param {Context} context
   */
  draw(context) {
    for (const shape of this.shapes) drawShape(context, shape);
  }

  /**
   * The bounds of all marks within a picture of this size; null where there are none.
   * @param {number} width
   * @param {number} height
   */
  bounds(width, height) {
    return boundsOf(this.shapes.filter((shape) => !shape.erases), width, height);
  }

  /**
   * The areas as boxes within a picture of this size.
   * @param {number} width
   * @param {number} height
   * @returns {Box[]}
   */
  boxes(width, height) {
    const areas = this.shapes.filter((shape) => shape.kind === "area" && !shape.erases);
    const bounds = areas.map((area) => boundsOf([area], width, height)).filter((box) => box !== null);
    return bounds.map(([left, top, right, bottom]) => [left, top, right - left, bottom - top]);
  }

  /** @returns {Shape[]} the shapes since the last clearing */
  get shapes() {
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
    const [across, down] = placesOf(shape);
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

/**
 * The places of a shape across and down, those of its ends at least.
 * @param {Shape} shape
 * @returns {[across: number[], down: number[]]}
 */
function placesOf(shape) {
  if (shape.kind !== "pixels") return [shape.points.map(([x]) => x), shape.points.map(([, y]) => y)];
  /** @type {[number[], number[]]} */
  const places = [[], []];
  for (const [x, y, length] of eachRun(shape.runs)) {
    places[0].push(x, x + length);
    places[1].push(y, y + 1);
  }
  return places;
}

/**
 * @param {Int32Array} runs
 * @returns {Generator<[x: number, y: number, length: number]>}
 */
export function* eachRun(runs) {
  for (let at = 0; at + 2 < runs.length; at += 3) yield [Number(runs[at]), Number(runs[at + 1]), Number(runs[at + 2])];
}

/**
 * Runs of the pixels whose value is at least `from`, by default half of the most.
 * @param {ArrayLike<number>} values
 * @param {Size} size
 * @param {{ stride?: number, offset?: number, top?: number, from?: number, into?: number[] }} [options] `stride` from value to value
 * @returns {number[]} x, y and length of each run
 */
export function runsOf(values, { width, height }, { stride = 1, offset = 0, top = 0, from = 128, into = [] } = {}) {
  for (let row = 0; row < height; row += 1) {
    let start = -1;
    for (let column = 0; column <= width; column += 1) {
      const marked = column < width && Number(values[(row * width + column) * stride + offset]) >= from;
      if (marked && start < 0) start = column;
      if (!marked && start >= 0) {
        into.push(start, row + top, column - start);
        start = -1;
      }
    }
  }
  return into;
}

/**
 * Shapes painted on a picture, fitted to another one: enlarged evenly, and at the same side or in the middle, as the
 * mark of a picture of another size usually lies.
 * @param {Shape[]} shapes
 * @param {Size} from
 * @param {Size} to
 * @returns {Shape[]}
 */
export function fittedShapes(shapes, from, to) {
  const bounds = boundsOf(shapes.filter((shape) => !shape.erases), from.width, from.height);
  if (!bounds) return [];
  if (from.width === to.width && from.height === to.height) return shapes;
  const scale = Math.min(to.width / from.width, to.height / from.height);
  const [left, top, right, bottom] = bounds;
  const across = shiftOf((left + right) / 2, from.width, to.width, scale);
  const down = shiftOf((top + bottom) / 2, from.height, to.height, scale);
  return shapes.map((shape) => {
    if (shape.kind === "pixels") return { ...shape, runs: movedRuns(shape.runs, scale, across, down) };
    const points = shape.points.map(([x, y]) => /** @type {Point} */ ([x * scale + across, y * scale + down]));
    return shape.kind === "line" ? { ...shape, points, size: shape.size * scale } : { ...shape, points };
  });
}

/**
 * The shift along one side: a mark in the first or the last third keeps its distance from that end.
 * @param {number} middle of the mark
 * @param {number} from
 * @param {number} to
 * @param {number} scale
 */
function shiftOf(middle, from, to, scale) {
  const rest = to - from * scale;
  if (middle < from / 3) return 0;
  return middle > (2 * from) / 3 ? rest : rest / 2;
}

/**
 * Runs enlarged by `scale`, then moved.
 * @param {Int32Array} runs
 * @param {number} scale
 * @param {number} across
 * @param {number} down
 */
export function movedRuns(runs, scale, across, down) {
  /** @type {number[]} */
  const moved = [];
  for (const [x, y, length] of eachRun(runs)) {
    const [left, right] = [Math.round(x * scale + across), Math.round((x + length) * scale + across)];
    const [top, bottom] = [Math.round(y * scale + down), Math.round((y + 1) * scale + down)];
    if (right <= left) continue;
    for (let row = top; row < bottom; row += 1) moved.push(left, row, right - left);
  }
  return Int32Array.from(moved);
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
  } else if (shape.kind === "pixels") {
    for (const [x, y, length] of eachRun(shape.runs)) context.rect(x, y, length, 1); // one path: no seams between its rows
    context.fill();
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
