// The picture on its stage, drawn with the mask, the cursor and the comparison.

import { Placement } from "./placement.js";
import { Strokes, drawShape } from "./strokes.js";

/** @import { Picture } from "./picture.js" */
/** @import { Bounds, Drawn, Point } from "./strokes.js" */
/** @typedef {{ at: Point, size: number, down: boolean }} Cursor `size` in pixels of the picture; `down`: the keys paint */
/**
 * `live` is the shape that is being drawn; `before` and `divider` (0 to 1) are set while comparing; `peek` is shown alone,
 * while a key is held; `difference`: what differs from `before` is shown instead; `shimmer` is 0 to 1.
 * @typedef {{
 *   picture: Picture | null,
 *   before: Picture | null,
 *   strokes: Strokes,
 *   peek: Picture | null,
 *   live: Drawn | null,
 *   cursor: Cursor | null,
 *   divider: number | null,
 *   difference: boolean,
 *   shimmer: number,
 * }} Scene
 */

const MARK = "#ff2f7d";

export class View {
  /** @type {Scene} */
  scene = emptyScene();
  #canvas;
  #context;
  #overlay = new OffscreenCanvas(1, 1);
  #overlayContext = context2d(this.#overlay);
  #drawnPoints = 0;
  #placement = new Placement();
  #frameRequested = false;
  #onMove;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onMove runs after each drawing
   */
  constructor(canvas, onMove) {
    this.#canvas = canvas;
    this.#context = context2d(canvas);
    this.#onMove = onMove;
    new ResizeObserver(() => { this.#resize(); }).observe(canvas.parentElement ?? canvas);
  }

  /**
   * Show another picture; one of the same size keeps the place of the one before.
   * @param {Picture} picture
   * @param {Strokes} strokes
   */
  show(picture, strokes) {
    const shown = this.scene.picture;
    this.scene = { ...emptyScene(), picture, strokes };
    this.#overlay = new OffscreenCanvas(picture.preview.width, picture.preview.height);
    this.#overlayContext = context2d(this.#overlay);
    this.repaint();
    if (shown?.width !== picture.width || shown.height !== picture.height) this.fit();
  }

  /** Show no picture. */
  clear() {
    this.scene = emptyScene();
  }

  /** Paint the mask anew from the strokes. */
  repaint() {
    const context = this.#overlayContext;
    const scale = this.scene.picture?.scale ?? 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#overlay.width, this.#overlay.height);
    context.fillStyle = MARK;
    context.scale(scale, scale);
    this.scene.strokes.draw(context);
    this.#drawnPoints = 0;
    this.redraw();
  }

  /** Paint the new points of the live line onto the mask. */
  grow() {
    const { live } = this.scene;
    if (live?.kind === "line") {
      drawShape(this.#overlayContext, live, this.#drawnPoints);
      this.#drawnPoints = live.points.length;
    }
    this.redraw();
  }

  fit() {
    const stage = this.#stage;
    if (!this.scene.picture || !stage.width) return;
    this.#placement.fit(this.scene.picture, stage);
    this.redraw();
  }

  /**
   * Enlarge by `factor` around a point of the stage, by default its middle.
   * @param {number} factor
   * @param {Point} [point]
   */
  zoom(factor, point) {
    if (!this.scene.picture) return;
    const stage = this.#stage;
    this.#placement.zoom(factor, point ?? [stage.width / 2, stage.height / 2], this.scene.picture, stage);
    this.redraw();
  }

  /**
   * Show a part of the picture in the middle of the stage, pixel by pixel where it has room, smaller where it has not.
   * @param {Bounds} part
   */
  lookAt([left, top, right, bottom]) {
    this.fit();
    const stage = this.#stage;
    const room = Math.min(stage.width / (right - left), stage.height / (bottom - top)) * 0.8;
    this.zoom(Math.max(this.scale, Math.min(1, room)) / this.scale);
    const [x, y] = this.toStage([(left + right) / 2, (top + bottom) / 2]);
    this.pan(stage.width / 2 - x, stage.height / 2 - y);
  }

  /**
   * @param {number} dx in CSS pixels
   * @param {number} dy
   */
  pan(dx, dy) {
    if (!this.scene.picture) return;
    this.#placement.pan(dx, dy, this.scene.picture, this.#stage);
    this.redraw();
  }

  /**
   * Pan as little as a point of the picture needs to be seen.
   * @param {Point} point
   */
  reveal(point) {
    if (!this.scene.picture) return;
    this.#placement.reveal(point, this.scene.picture, this.#stage);
    this.redraw();
  }

  /** CSS pixels of the stage per pixel of the picture. */
  get scale() {
    return this.#placement.scale;
  }

  /** @param {Point} point */
  toPicture(point) {
    return this.#placement.toPicture(point);
  }

  /** @param {Point} point */
  toStage(point) {
    return this.#placement.toStage(point);
  }

  /** Draw in the next frame. */
  redraw() {
    if (this.#frameRequested) return;
    this.#frameRequested = true;
    requestAnimationFrame(() => {
      this.#frameRequested = false;
      this.#draw();
    });
  }

  get #stage() {
    return { width: this.#canvas.clientWidth, height: this.#canvas.clientHeight };
  }

  #resize() {
    const { width, height } = this.#stage;
    const ratio = Math.min(2, devicePixelRatio || 1);
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    if (this.#placement.fitted) this.fit();
    this.#draw();
  }

  #draw() {
    const { picture, before, divider, peek } = this.scene;
    if (!picture) return;
    const context = this.#context;
    const ratio = this.#canvas.width / (this.#canvas.clientWidth || 1);
    const [x, y] = this.toStage([0, 0]);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * x, ratio * y);
    context.imageSmoothingEnabled = this.scale / picture.scale < 3; // a larger scale shows the pixels themselves
    context.imageSmoothingQuality = "high";
    context.drawImage(picture.preview, 0, 0, picture.width, picture.height);
    if (peek) {
      context.drawImage(peek.preview, 0, 0, picture.width, picture.height);
    } else if (before && this.scene.difference) {
      context.globalCompositeOperation = "difference";
      context.drawImage(before.preview, 0, 0, picture.width, picture.height);
      context.globalCompositeOperation = "color-dodge"; // small differences become visible
      context.fillStyle = "#c0c0c0";
      context.fillRect(0, 0, picture.width, picture.height);
      context.globalCompositeOperation = "source-over";
    } else if (before && divider !== null) {
      context.save();
      context.beginPath();
      context.rect(0, 0, picture.width * divider, picture.height);
      context.clip();
      context.drawImage(before.preview, 0, 0, picture.width, picture.height);
      context.restore();
    } else {
      this.#drawMask(context, picture);
      if (this.scene.cursor) this.#drawCursor(context, this.scene.cursor);
    }
    this.#onMove();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Picture} picture
   */
  #drawMask(context, picture) {
    const { live, shimmer } = this.scene;
    context.globalAlpha = 0.55 - 0.25 * shimmer;
    context.drawImage(this.#overlay, 0, 0, picture.width, picture.height);
    if (live?.kind === "area") {
      context.fillStyle = MARK;
      drawShape(context, { ...live, erases: false });
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Cursor} cursor
   */
  #drawCursor(context, { at: [x, y], size, down }) {
    const pixel = 1 / this.scale;
    const radius = Math.max(size / 2, 3 * pixel);
    for (const { color, width } of [{ color: "#000", width: 3 }, { color: "#fff", width: 1.5 }]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = width * pixel;
      context.stroke();
    }
    if (down) {
      context.fillStyle = "#fff";
      context.fillRect(x - 2 * pixel, y - 2 * pixel, 4 * pixel, 4 * pixel);
    }
  }
}

/** @returns {Scene} */
function emptyScene() {
  return { picture: null, before: null, peek: null, strokes: new Strokes(), live: null, cursor: null, divider: null, difference: false, shimmer: 0 };
}

/**
 * @template {HTMLCanvasElement | OffscreenCanvas} C
 * @param {C} canvas
 */
function context2d(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error(`The browser has no memory for a canvas of ${canvas.width} × ${canvas.height} pixels.`);
  return /** @type {C extends HTMLCanvasElement ? CanvasRenderingContext2D : OffscreenCanvasRenderingContext2D} */ (context);
}
