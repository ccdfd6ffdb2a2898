// The picture on its stage: where it lies, how large, and how it is drawn with the mask, the cursor and the comparison.

import { drawShape } from "./strokes.js";

const MOST_ZOOM = 32;
const MARGIN = 16;
const MARK = "#ff2f7d";

export class View {
  /** `{picture, before, strokes, live, cursor, divider, shimmer}`: what is shown; `before` and `divider` while comparing. */
  scene = { picture: null, before: null, strokes: null, live: null, cursor: null, divider: null, shimmer: 0 };
  #canvas;
  #context;
  #overlay = null;
  #drawn = 0;
  #scale = 1;
  #x = 0;
  #y = 0;
  #fitted = true;
  #asked = false;
  #onMove;

  constructor(canvas, onMove) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#onMove = onMove;
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  /** Show another picture; where it has the size of the one before, it lies where that lay. */
  show(picture, strokes) {
    const same = this.scene.picture?.width === picture.width && this.scene.picture?.height === picture.height;
    this.scene = { picture, strokes, before: null, live: null, cursor: null, divider: null, shimmer: 0 };
    this.#overlay = new OffscreenCanvas(picture.preview.width, picture.preview.height);
    this.repaint();
    if (!same) this.fit();
  }

  /** Bring the mask up to date with the strokes. */
  repaint() {
    const context = this.#overlay.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#overlay.width, this.#overlay.height);
    context.fillStyle = MARK;
    context.scale(this.scene.picture.scale, this.scene.picture.scale);
    this.scene.strokes.draw(context);
    this.#drawn = 0;
    this.redraw();
  }

  /** The line that is being drawn has grown: onto the mask with what is new of it. */
  grow() {
    const { live } = this.scene;
    if (live?.kind === "line") {
      drawShape(this.#overlay.getContext("2d"), live, this.#drawn);
      this.#drawn = live.points.length;
    }
    this.redraw();
  }

  fit() {
    const { width, height } = this.#stage();
    const { picture } = this.scene;
    if (!picture || !width) return;
    this.#scale = Math.min((width - 2 * MARGIN) / picture.width, (height - 2 * MARGIN) / picture.height, 4);
    this.#x = (width - picture.width * this.#scale) / 2;
    this.#y = (height - picture.height * this.#scale) / 2;
    this.#fitted = true;
    this.redraw();
  }

  /** Enlarge by `factor`, keeping what is at `point` of the stage in its place; the middle without one. */
  zoom(factor, point) {
    if (!this.scene.picture) return;
    const { width, height } = this.#stage();
    const [x, y] = point ?? [width / 2, height / 2];
    const scale = Math.min(MOST_ZOOM, Math.max(this.#leastZoom(), this.#scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#moved();
  }

  pan(dx, dy) {
    if (!this.scene.picture) return;
    this.#x += dx;
    this.#y += dy;
    this.#moved();
  }

  /** Move as little as is needed to see a point of the picture. */
  reveal([x, y]) {
    const { width, height } = this.#stage();
    const [left, top] = this.toStage([x, y]);
    const into = (at, size) => Math.max(MARGIN, Math.min(size - MARGIN, at)) - at;
    this.pan(into(left, width), into(top, height));
  }

  /** Size of a pixel of the picture on the stage, in CSS pixels. */
  get scale() {
    return this.#scale;
  }

  toPicture([x, y]) {
    return [(x - this.#x) / this.#scale, (y - this.#y) / this.#scale];
  }

  toStage([x, y]) {
    return [x * this.#scale + this.#x, y * this.#scale + this.#y];
  }

  redraw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #moved() {
    const { width, height } = this.#stage();
    const { picture } = this.scene;
    // Some of the picture always stays on the stage.
    const keep = (at, size, stage) => Math.min(stage - 3 * MARGIN, Math.max(3 * MARGIN - size, at));
    this.#x = keep(this.#x, picture.width * this.#scale, width);
    this.#y = keep(this.#y, picture.height * this.#scale, height);
    this.#fitted = false;
    this.redraw();
  }

  #leastZoom() {
    const { width, height } = this.#stage();
    return Math.min(1, (0.5 * width) / this.scene.picture.width, (0.5 * height) / this.scene.picture.height);
  }

  #stage() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return { width, height };
  }

  #resize() {
    const { width, height } = this.#stage();
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    if (this.#fitted) this.fit();
    this.#draw();
  }

  #draw() {
    const { picture, before, live, cursor, divider, shimmer } = this.scene;
    if (!picture) return;
    const context = this.#context;
    const ratio = this.#canvas.width / (this.#canvas.clientWidth || 1);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(ratio * this.#scale, 0, 0, ratio * this.#scale, ratio * this.#x, ratio * this.#y);
    context.imageSmoothingEnabled = this.#scale / picture.scale < 3; // beyond, pixels are what one wants to see
    context.imageSmoothingQuality = "high";
    context.drawImage(picture.preview, 0, 0, picture.width, picture.height);
    if (before && divider !== null) {
      context.save();
      context.beginPath();
      context.rect(0, 0, picture.width * divider, picture.height);
      context.clip();
      context.drawImage(before.preview, 0, 0, picture.width, picture.height);
      context.restore();
    } else {
      this.#drawMask(context, live, shimmer);
      if (cursor) this.#drawCursor(context, cursor);
    }
    this.#onMove();
  }

  #drawMask(context, live, shimmer) {
    const { picture } = this.scene;
    context.globalAlpha = 0.55 - 0.25 * shimmer;
    context.drawImage(this.#overlay, 0, 0, picture.width, picture.height);
    if (live?.kind === "area") {
      context.fillStyle = MARK;
      drawShape(context, { ...live, erases: false });
    }
    context.globalAlpha = 1;
  }

  #drawCursor(context, { at, size, down }) {
    const pixel = 1 / this.#scale;
    const radius = Math.max(size / 2, 3 * pixel);
    for (const [color, width] of [["#000", 3], ["#fff", 1.5]]) {
      context.beginPath();
      context.arc(at[0], at[1], radius, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = width * pixel;
      context.stroke();
    }
    if (down) {
      context.fillStyle = "#fff";
      context.fillRect(at[0] - 2 * pixel, at[1] - 2 * pixel, 4 * pixel, 4 * pixel);
    }
  }
}
