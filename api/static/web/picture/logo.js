// A logo's file as the service searches for it: with transparency. A logo on a ground of one colour is cut out of it.

import { Unusable } from "../files/unusable.js";
import { t } from "../words/texts.js";

/** @import { Size } from "./strokes.js" */

const LONGEST = 2048; // pixels
const OPAQUE = 250;
const ALIKE = 24; // levels between pixels of the ground
const LEAST_ALIKE = 0.9; // of the border
const NOISE = 8; // levels that are still ground
const FULL = 0.6; // of the strongest difference: from there on the logo is opaque

/**
 * A logo as a PNG with transparency. Throws Unusable.
 * @param {Blob} file
 * @returns {Promise<Blob>}
 */
export async function logoFile(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Unusable(t("The logo cannot be read"), t("Choose a PNG of the logo."));
  });
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  const context = canvas.getContext("2d");
  if (!context) throw new Error(`The browser has no memory for a canvas of ${canvas.width} × ${canvas.height} pixels.`);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  if (!hasTransparency(pixels.data)) {
    cutOut(pixels.data, canvas);
    context.putImageData(pixels, 0, 0);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

/** @param {Uint8ClampedArray} pixels RGBA */
function hasTransparency(pixels) {
  for (let at = 3; at < pixels.length; at += 4) if (Number(pixels[at]) < OPAQUE) return true;
  return false;
}

/**
 * Make the ground transparent: the colour of the border, which has to be one. Throws Unusable.
 * @param {Uint8ClampedArray} pixels RGBA, which is changed
 * @param {Size} size
 */
export function cutOut(pixels, { width, height }) {
  const border = borderOf(width, height);
  const ground = [0, 1, 2].map((channel) => median(border.map((place) => Number(pixels[4 * place + channel]))));
  const difference = (/** @type {number} */ place) => Math.max(...ground.map((value, channel) => Math.abs(Number(pixels[4 * place + channel]) - value)));
  if (border.filter((place) => difference(place) <= ALIKE).length < LEAST_ALIKE * border.length) {
    throw new Unusable(t("The logo does not stand on one colour"), t("Choose a PNG with a transparent ground, or with the logo on a plain one."));
  }
  const differences = Uint8Array.from({ length: width * height }, (_, place) => difference(place));
  const strongest = differences.reduce((one, other) => Math.max(one, other), 0);
  if (strongest <= ALIKE) throw new Unusable(t("The logo's file shows nothing"), t("Choose a PNG in which the logo can be seen."));
  const full = Math.max(NOISE + 1, FULL * strongest);
  differences.forEach((value, place) => {
    pixels[4 * place + 3] = Math.round(255 * Math.max(0, Math.min(1, (value - NOISE) / (full - NOISE))));
  });
}

/**
 * @param {number} width
 * @param {number} height
 */
function borderOf(width, height) {
  /** @type {number[]} */
  const places = [];
  for (let column = 0; column < width; column += 1) places.push(column, (height - 1) * width + column);
  for (let row = 1; row < height - 1; row += 1) places.push(row * width, row * width + width - 1);
  return places;
}

/** @param {number[]} values */
function median(values) {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
