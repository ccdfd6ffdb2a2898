// The mask as the service takes it, of the picture's full size: COCO's run lengths, column by column. Only a band of
// columns is held as pixels at a time.

/** @import { Strokes } from "./strokes.js" */

const MOST_BAND_PIXELS = 2e6;

/**
 * The mask's JSON file, or null where nothing is marked.
 * @param {Strokes} strokes
 * @param {number} width
 * @param {number} height
 */
export async function maskFile(strokes, width, height) {
  const counts = await runLengths(strokes, width, height);
  if (counts.length < 2) return null;
  return new Blob([JSON.stringify({ rle: [{ size: [height, width], counts: packCounts(counts) }] })], { type: "application/json" });
}

/**
 * The lengths of alternating runs of unmarked and marked pixels, column by column; the first run is unmarked.
 * @param {Strokes} strokes
 * @param {number} width
 * @param {number} height
 */
export async function runLengths(strokes, width, height) {
  const runs = new Runs();
  const bounds = strokes.bounds(width, height);
  if (!bounds) {
    runs.add(0, width * height);
    return runs.counts;
  }
  const [left, top, right, bottom] = bounds;
  runs.add(0, left * height);
  const step = Math.max(1, Math.floor(MOST_BAND_PIXELS / (bottom - top)));
  for (let from = left; from < right; from += step) {
    const columns = Math.min(step, right - from);
    addColumns(runs, paintBand(strokes, from, top, columns, bottom - top), columns, top, height - bottom);
    await new Promise((resolve) => setTimeout(resolve)); // lets the page react in between
  }
  runs.add(0, (width - right) * height);
  return runs.counts;
}

/** Run lengths under construction. */
export class Runs {
  counts = [0];
  #value = 0;

  /**
   * @param {number} value 1: marked, 0: unmarked
   * @param {number} length
   */
  add(value, length) {
    if (!length) return;
    if (value !== this.#value) {
      this.counts.push(0);
      this.#value = value;
    }
    const last = this.counts.length - 1;
    this.counts[last] = (this.counts[last] ?? 0) + length;
  }
}

/**
 * Add the columns of a band of pixels; a pixel is marked from half of full opacity on.
 * @param {Runs} runs
 * @param {Uint8ClampedArray} pixels RGBA, row by row
 * @param {number} columns
 * @param {number} above unmarked pixels of each column above the band
 * @param {number} below
 */
export function addColumns(runs, pixels, columns, above, below) {
  const rows = pixels.length / 4 / columns;
  for (let column = 0; column < columns; column += 1) {
    runs.add(0, above);
    let value = 0;
    let length = 0;
    for (let alpha = column * 4 + 3, row = 0; row < rows; row += 1, alpha += columns * 4) {
      const pixel = Number(pixels[alpha]) >> 7;
      if (pixel === value) {
        length += 1;
      } else {
        runs.add(value, length);
        value = pixel;
        length = 1;
      }
    }
    runs.add(value, length);
    runs.add(0, below);
  }
}

/**
 * COCO's string of run lengths: five bits a character, from the fourth count on as differences to the last but one.
 * @param {number[]} counts
 */
export function packCounts(counts) {
  /** @type {string[]} */
  const characters = [];
  counts.forEach((count, index) => {
    let rest = count - (index > 2 ? (counts[index - 2] ?? 0) : 0);
    for (let more = true; more; ) {
      const bits = rest & 0x1f;
      rest >>= 5;
      more = bits & 0x10 ? rest !== -1 : rest !== 0;
      characters.push(String.fromCharCode((more ? bits | 0x20 : bits) + 48));
    }
  });
  return characters.join("");
}

/**
 * @param {Strokes} strokes
 * @param {number} left
 * @param {number} top
 * @param {number} width
 * @param {number} height
 */
function paintBand(strokes, left, top, width, height) {
  const context = contextOf(new OffscreenCanvas(width, height), { willReadFrequently: true });
  context.translate(-left, -top);
  context.fillStyle = "#000";
  strokes.draw(context);
  return context.getImageData(0, 0, width, height).data;
}

/**
 * @param {OffscreenCanvas} canvas
 * @param {CanvasRenderingContext2DSettings} settings
 */
function contextOf(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error(`The browser has no memory for a canvas of ${canvas.width} × ${canvas.height} pixels.`);
  return context;
}
