// What was painted, as shapes in the picture's own pixels: drawn at any size, undone and redone one by one.
//
// A shape is {kind: "line", size, points, erases}, {kind: "area", points, erases} or {kind: "clear"}; points are [x, y].

export class Strokes {
  #done = [];
  #undone = [];

  add(shape) {
    this.#done.push(shape);
    this.#undone = [];
  }

  undo() {
    if (this.#done.length) this.#undone.push(this.#done.pop());
  }

  redo() {
    if (this.#undone.length) this.#done.push(this.#undone.pop());
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Whether nothing can be marked: nothing was painted since the last clearing. */
  get empty() {
    return !this.#live().some((shape) => !shape.erases);
  }

  /** Draw all of it with the context's fill style, which must be opaque. */
  draw(context) {
    for (const shape of this.#live()) drawShape(context, shape);
  }

  /** The box that holds every mark, within a picture: [left, top, right, bottom], whole pixels; null where there is none. */
  bounds(width, height) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const shape of this.#live()) {
      if (shape.erases) continue;
      const reach = shape.kind === "line" ? shape.size / 2 + 1 : 1;
      for (const [x, y] of shape.points) {
        box[0] = Math.min(box[0], x - reach);
        box[1] = Math.min(box[1], y - reach);
        box[2] = Math.max(box[2], x + reach);
        box[3] = Math.max(box[3], y + reach);
      }
    }
    const [left, top] = [Math.max(0, Math.floor(box[0])), Math.max(0, Math.floor(box[1]))];
    const [right, bottom] = [Math.min(width, Math.ceil(box[2])), Math.min(height, Math.ceil(box[3]))];
    return left < right && top < bottom ? [left, top, right, bottom] : null;
  }

  /** The areas as boxes within a picture: [left, top, width, height], whole pixels. */
  marks(width, height) {
    const boxes = this.#live().filter((shape) => shape.kind === "area" && !shape.erases).map(({ points }) => {
      const one = new Strokes();
      one.add({ kind: "area", points, erases: false });
      return one.bounds(width, height);
    });
    return boxes.filter(Boolean).map(([left, top, right, bottom]) => [left, top, right - left, bottom - top]);
  }

  #live() {
    const cleared = this.#done.findLastIndex((shape) => shape.kind === "clear");
    return this.#done.slice(cleared + 1);
  }
}

/** Draw one shape; `from` is the first of its points that is not drawn yet. */
export function drawShape(context, shape, from = 0) {
  context.globalCompositeOperation = shape.erases ? "destination-out" : "source-over";
  context.beginPath();
  if (shape.kind === "line") {
    const points = shape.points.slice(Math.max(0, from - 1));
    context.lineWidth = shape.size;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle;
    trace(context, points);
    if (points.length === 1) context.lineTo(points[0][0] + 1e-3, points[0][1]); // a dot is a line too
    context.stroke();
  } else {
    trace(context, shape.points);
    context.closePath();
    context.fill();
  }
  context.globalCompositeOperation = "source-over";
}

function trace(context, points) {
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
}
