// Masks as files for people: black where the picture stays, white where it is repaired. Only a band of rows is held as
// pixels at a time.

import { Unusable } from "../files/unusable.js";
import { t } from "../words/texts.js";
import { drawShape, runsOf } from "./strokes.js";

/** @import { Pixels, Size, Strokes } from "./strokes.js" */

const MOST_BAND_PIXELS = 2e6;
const MOST_SHAPE_DIFFERENCE = 0.02; // between the sides' ratios of mask and picture

/**
 * The strokes as a PNG of the picture's size.
 * @param {Strokes} strokes
 * @param {Size} size
 * @returns {Promise<Blob>}
 */
export async function maskPicture(strokes, { width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = contextOf(canvas);
  for (const [top, rows] of bands(width, height)) {
    const band = contextOf(new OffscreenCanvas(width, rows));
    band.translate(0, -top);
    band.fillStyle = "#fff";
    for (const shape of strokes.shapes) drawShape(band, shape);
    const pixels = band.getImageData(0, 0, width, rows);
    for (let at = 0; at < pixels.data.length; at += 4) {
      const value = Number(pixels.data[at + 3]) < 128 ? 0 : 255;
      pixels.data.fill(value, at, at + 3);
      pixels.data[at + 3] = 255;
    }
    context.putImageData(pixels, 0, top);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * The marked pixels of a mask's file, fitted to a picture: the light ones, or the opaque ones where it has transparency.
 * Throws Unusable.
 * @param {Blob} file
 * @param {Size} size of the picture
 * @returns {Promise<Pixels>}
 */
export async function readMask(file, { width, height }) {
  const mask = await createImageBitmap(file).catch(() => {
    throw new Unusable(t("The mask cannot be read"), t("Choose a black and white picture: white is what goes."));
  });
  if (Math.abs((mask.width * height) / (mask.height * width) - 1) > MOST_SHAPE_DIFFERENCE) {
    const sizes = { mask: `${mask.width} × ${mask.height}`, picture: `${width} × ${height}` };
    throw new Unusable(t("The mask does not fit the picture"), t("The mask has {mask} pixels, the picture {picture}.", sizes));
  }
  const read = (/** @type {number} */ channel) => markedRuns(mask, width, height, channel);
  const transparent = read(3);
  const runs = coversAll(transparent, width, height) ? read(0) : transparent;
  if (!runs.length) throw new Unusable(t("The mask marks nothing"), t("Check whether black and white are swapped."));
  if (coversAll(runs, width, height)) throw new Unusable(t("The mask marks nearly the whole picture"), t("Check whether black and white are swapped."));
  return { kind: "pixels", runs, erases: false };
}

/**
 * @param {ImageBitmap} mask
 * @param {number} width
 * @param {number} height
 * @param {number} channel of RGBA
 */
function markedRuns(mask, width, height, channel) {
  /** @type {number[]} */
  const runs = [];
  for (const [top, rows] of bands(width, height)) {
    const context = contextOf(new OffscreenCanvas(width, rows));
    context.imageSmoothingEnabled = mask.width !== width;
    context.drawImage(mask, 0, -top, width, height);
    runsOf(context.getImageData(0, 0, width, rows).data, { width, height: rows }, { stride: 4, offset: channel, top, into: runs });
  }
  return Int32Array.from(runs);
}

/**
 * @param {Int32Array} runs
 * @param {number} width
 * @param {number} height
 */
function coversAll(runs, width, height) {
  let marked = 0;
  for (let at = 2; at < runs.length; at += 3) marked += Number(runs[at]);
  return marked > 0.98 * width * height;
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {Generator<[top: number, rows: number]>}
 */
function* bands(width, height) {
  const most = Math.max(1, Math.floor(MOST_BAND_PIXELS / width));
  for (let top = 0; top < height; top += most) yield [top, Math.min(most, height - top)];
}

/** @param {OffscreenCanvas} canvas */
function contextOf(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Unusable(t("The browser has no memory for this mask"), t("Scale the picture down."));
  return context;
}
