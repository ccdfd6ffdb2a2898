// The shape of the mark that a person clicks on or brushes over, found by a worker in the pixels of the preview around it.

import { drawShape, movedRuns } from "./strokes.js";

/** @import { Picture } from "./picture.js" */
/** @import { Pixels as SourcePixels } from "./selecting.js" */
/** @import { Line, Pixels } from "./strokes.js" */
/** @typedef {{ image: SourcePixels, stroke: Uint8Array | null, x: number, y: number }} Selection */

const REACH = 500; // pixels of the preview around a click
const MARGIN = 24; // around a stroke

/** @type {Worker | null} */
let worker = null;

/** Load the worker before it is needed. */
export function prepare() {
  if (worker) return worker;
  const loading = (worker = new Worker(new URL("selecting-worker.js", import.meta.url), { type: "module" }));
  loading.onerror = () => (worker = null); // the next selection loads it again
  return loading;
}

/**
 * The pixels of the mark at a click, or under a stroke; null where nothing stands out. One selection runs at a time.
 * @param {Picture} picture
 * @param {Line} line
 * @returns {Promise<Pixels | null>}
 */
export async function selectMark(picture, line) {
  const { preview, scale } = picture;
  const [first] = line.points;
  if (!first) return null;
  const isStroke = line.points.some(([x, y]) => Math.hypot(x - first[0], y - first[1]) > Math.max(4 / scale, line.size / 4));
  const reach = isStroke ? (line.size / 2) * scale + MARGIN : REACH;
  const [across, down] = [line.points.map(([x]) => x * scale), line.points.map(([, y]) => y * scale)];
  const left = Math.max(0, Math.floor(least(across) - reach));
  const top = Math.max(0, Math.floor(least(down) - reach));
  const width = Math.min(preview.width, Math.ceil(-least(across.map((x) => -x)) + reach)) - left;
  const height = Math.min(preview.height, Math.ceil(-least(down.map((y) => -y)) + reach)) - top;
  if (width < 3 || height < 3) return null;
  const pixels = pixelsOf(width, height, (context) => { context.drawImage(preview, -left, -top); });
  const stroke = isStroke ? alphaOf(pixelsOf(width, height, (context) => {
    context.setTransform(scale, 0, 0, scale, -left, -top);
    drawShape(context, line);
  })) : null;
  const place = (/** @type {number} */ value, /** @type {number} */ start, /** @type {number} */ size) => Math.max(0, Math.min(size - 1, Math.floor(value * scale - start)));
  const runs = await run({ image: { pixels, width, height }, stroke, x: place(first[0], left, width), y: place(first[1], top, height) });
  return runs.length ? { kind: "pixels", runs: movedRuns(runs, 1 / scale, left / scale, top / scale), erases: false } : null;
}

/**
 * @param {Selection} selection
 * @returns {Promise<Int32Array>}
 */
function run(selection) {
  const running = prepare();
  return new Promise((resolve, reject) => {
    running.onmessage = (/** @type {MessageEvent<Int32Array>} */ { data }) => { resolve(data); };
    running.onerror = ({ message }) => {
      worker = null;
      reject(new Error(message || "The selection failed."));
    };
    running.postMessage(selection, [selection.image.pixels.buffer]);
  });
}

/**
 * @param {number} width
 * @param {number} height
 * @param {(context: OffscreenCanvasRenderingContext2D) => void} draw
 */
function pixelsOf(width, height, draw) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error(`The browser has no memory for a canvas of ${width} × ${height} pixels.`);
  draw(context);
  return context.getImageData(0, 0, width, height).data;
}

/** @param {Uint8ClampedArray} pixels RGBA */
function alphaOf(pixels) {
  return Uint8Array.from({ length: pixels.length / 4 }, (_, place) => Number(Number(pixels[4 * place + 3]) >= 128));
}

/** @param {number[]} values */
function least(values) {
  return values.reduce((one, other) => Math.min(one, other), Infinity);
}
