// The worker of the browser that takes the shape of a mark: the page stays quick meanwhile.

import { selectAt, selectUnder } from "./selecting.js";
import { runsOf } from "./strokes.js";

/** @import { Selection } from "./selection.js" */

addEventListener("message", (/** @type {MessageEvent<Selection>} */ { data: { image, stroke, x, y } }) => {
  const mask = stroke ? selectUnder(image, stroke) : selectAt(image, x, y);
  postMessage(Int32Array.from(runsOf(mask, image, { from: 1 })));
});
