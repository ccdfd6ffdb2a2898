// The place of a picture on its stage: scale and offset, and the arithmetic of zoom, pan and fit. No drawing here.

/** @import { Point } from "./strokes.js" */
/** @typedef {{ width: number, height: number }} Size */

const MOST_SCALE = 32;
const MOST_FITTED_SCALE = 4;
const MARGIN = 16;

export class Placement {
  /** CSS pixels of the stage per pixel of the picture. */
  scale = 1;
  /** Whether the picture is fitted: then it follows the size of the stage. */
  fitted = true;
  #x = 0;
  #y = 0;

  /**
   * Show the whole picture in the middle of the stage.
   * @param {Size} picture
   * @param {Size} stage
   */
  fit(picture, stage) {
    const across = (stage.width - 2 * MARGIN) / picture.width;
    const down = (stage.height - 2 * MARGIN) / picture.height;
    this.scale = Math.min(across, down, MOST_FITTED_SCALE);
    this.#x = (stage.width - picture.width * this.scale) / 2;
    this.#y = (stage.height - picture.height * this.scale) / 2;
    this.fitted = true;
  }

  /**
   * Enlarge by `factor`; the point of the picture at `point` of the stage stays there.
   * @param {number} factor
   * @param {Point} point
   * @param {Size} picture
   * @param {Size} stage
   */
  zoom(factor, [x, y], picture, stage) {
    const least = Math.min(1, (0.5 * stage.width) / picture.width, (0.5 * stage.height) / picture.height);
    const scale = Math.min(MOST_SCALE, Math.max(least, this.scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.scale;
    this.#y = y - ((y - this.#y) * scale) / this.scale;
    this.scale = scale;
    this.#keepInSight(picture, stage);
  }

  /**
   * @param {number} dx in CSS pixels
   * @param {number} dy
   * @param {Size} picture
   * @param {Size} stage
   */
  pan(dx, dy, picture, stage) {
    this.#x += dx;
    this.#y += dy;
    this.#keepInSight(picture, stage);
  }

  /**
   * Pan as little as a point of the picture needs to be seen.
   * @param {Point} point
   * @param {Size} picture
   * @param {Size} stage
   */
  reveal(point, picture, stage) {
    const [x, y] = this.toStage(point);
    const shift = (/** @type {number} */ at, /** @type {number} */ size) => Math.max(MARGIN, Math.min(size - MARGIN, at)) - at;
    this.pan(shift(x, stage.width), shift(y, stage.height), picture, stage);
  }

  /**
   * @param {Point} point
   * @returns {Point}
   */
  toPicture([x, y]) {
    return [(x - this.#x) / this.scale, (y - this.#y) / this.scale];
  }

  /**
   * @param {Point} point
   * @returns {Point}
   */
  toStage([x, y]) {
    return [x * this.scale + this.#x, y * this.scale + this.#y];
  }

  /**
   * Keep a part of the picture on the stage.
   * @param {Size} picture
   * @param {Size} stage
   */
  #keepInSight(picture, stage) {
    /**
     * @param {number} at
     * @param {number} size
     * @param {number} room
     */
    const keep = (at, size, room) => Math.min(room - 3 * MARGIN, Math.max(3 * MARGIN - size, at));
    this.#x = keep(this.#x, picture.width * this.scale, stage.width);
    this.#y = keep(this.#y, picture.height * this.scale, stage.height);
    this.fitted = false;
  }
}
