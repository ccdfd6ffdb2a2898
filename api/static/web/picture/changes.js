// Where two pictures differ: the place that a person has to judge.

/** @import { Picture } from "./picture.js" */
/** @import { Bounds } from "./strokes.js" */

const MOST_SIDE = 640;
const LEAST_DIFFERENCE = 20; // of 255: a JPEG written again differs by less

/**
 * The bounds of what differs between two pictures, as shares of their sides; null where nothing does.
 * @param {Pick<Picture, "preview">} pictureBefore
 * @param {Pick<Picture, "preview">} pictureAfter
 * @returns {Bounds | null}
 */
export function changedShare({ preview: before }, { preview: after }) {
  const scale = Math.min(1, MOST_SIDE / Math.max(after.width, after.height));
  const [width, height] = [Math.max(1, Math.round(after.width * scale)), Math.max(1, Math.round(after.height * scale))];
  const bounds = boundsOfDifference(pixelsOf(before, width, height), pixelsOf(after, width, height), width);
  return bounds && [bounds[0] / width, bounds[1] / height, bounds[2] / width, bounds[3] / height];
}

/**
 * The bounds of the pixels that differ; null where none does.
 * @param {Uint8ClampedArray} before RGBA
 * @param {Uint8ClampedArray} after
 * @param {number} width
 * @returns {Bounds | null}
 */
export function boundsOfDifference(before, after, width) {
  /** @type {Bounds} */
  const bounds = [Infinity, Infinity, 0, 0];
  const differs = (/** @type {number} */ at) => Math.abs(Number(before[at]) - Number(after[at])) >= LEAST_DIFFERENCE;
  for (let at = 0; at < after.length; at += 4) {
    if (!differs(at) && !differs(at + 1) && !differs(at + 2)) continue;
    const [x, y] = [(at / 4) % width, Math.floor(at / 4 / width)];
    bounds[0] = Math.min(bounds[0], x);
    bounds[1] = Math.min(bounds[1], y);
    bounds[2] = Math.max(bounds[2], x + 1);
    bounds[3] = Math.max(bounds[3], y + 1);
  }
  return bounds[2] ? bounds : null;
}

/**
 * @param {ImageBitmap} picture
 * @param {number} width
 * @param {number} height
 */
function pixelsOf(picture, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error(`The browser has no memory for a canvas of ${width} × ${height} pixels.`);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}
