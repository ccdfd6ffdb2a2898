// What gestures need to draw on a canvas: the tool, the brush of a slider, and where a shape goes.

import { brushSize, resizedValue } from "./brush.js";

/** @import { Bench, Tool } from "../picture/gestures.js" */
/** @import { Shape, Size } from "../picture/strokes.js" */

/**
 * The bench of a canvas on which a person only draws; nothing is painted while it shows no picture.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLInputElement} slider of the brush's size
 * @param {{ tool: () => Tool, picture: () => Size | null, onShape: (shape: Shape) => void }} options
 * @returns {Bench}
 */
export function drawingBench(canvas, slider, { tool, picture, onShape }) {
  return {
    get tool() {
      return tool();
    },
    get size() {
      return brushSize(Number(slider.value), picture() ?? { width: 1, height: 1 });
    },
    comparing: false,
    get locked() {
      return picture() === null;
    },
    onShape,
    onResize: (factor) => { slider.value = String(resizedValue(Number(slider.value), factor)); },
    onDivide() {},
    onNudge() {},
    onTouch() { canvas.focus({ preventScroll: true }); },
  };
}
