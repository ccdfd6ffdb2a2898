// Masks that come from elsewhere than the brush: found by the service, selected by a click, opened from a file; and the mask
// saved as a file. Loaded with the first picture, so that the start of the page stays light.

import { save } from "../files/outgoing.js";
import { notify } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { t } from "../words/texts.js";
import { withUpload } from "./repairs.js";

/** @import { WaitOptions } from "../net/repairing.js" */
/** @import { Line, Pixels } from "../picture/strokes.js" */
/** @import { Step, Work } from "../picture/work.js" */
/** @import { Repairs } from "./repairs.js" */
/** @typedef {(work: Work, step: Step, pixels: Pixels) => void} Paint adds pixels to the mask of a step */

/** Load what the work on a picture may need, while the service can be reached. */
export async function prepare() {
  const [selection] = await Promise.all([
    import("../picture/selection.js"), import("../picture/masks.js"), import("./finding.js"),
  ]);
  selection.prepare();
}

/**
 * Let the service find the text in the current step of a work, or a logo.
 * @param {Work} work
 * @param {Repairs} repairs
 * @param {Paint} paint
 * @param {File} [logo]
 */
export async function find(work, repairs, paint, logo) {
  const statement = await rights.requireStatement();
  if (!statement || work.repair) return;
  const step = work.current;
  const { findLogo, findText } = await import("./finding.js");
  const search = (/** @type {WaitOptions} */ options) => (logo ? findLogo(logo, step, statement, options) : findText(step, statement, options));
  await repairs.atTheService(work, step, async (options) => {
    const found = await withUpload(step, () => search(options));
    if (!found) return;
    paint(work, step, found.pixels);
    found.tell();
  });
}

let selecting = false;

/**
 * Add the mark at a click or under a stroke to the mask. One selection runs at a time.
 * @param {Work} work
 * @param {Paint} paint
 * @param {Line} line
 */
export async function select(work, paint, line) {
  if (selecting) return;
  const step = work.current;
  selecting = true;
  try {
    const { selectMark } = await import("../picture/selection.js");
    const pixels = await selectMark(step.picture, line);
    if (work.repair || step !== work.current) return; // the person has gone on
    if (pixels) paint(work, step, pixels);
    else notify("info", t("Nothing stands out here"), t("Click on the mark itself, or brush roughly over all of it."));
  } finally {
    selecting = false;
  }
}

/** @param {Step} step */
export async function saveMask({ strokes, picture }) {
  const { maskPicture } = await import("../picture/masks.js");
  save(await maskPicture(strokes, picture), picture.name.replace(/(\.[^.]*)?$/, "-mask.png"));
}

/**
 * Add a mask's file to the mask. Throws Unusable.
 * @param {Work} work
 * @param {Paint} paint
 * @param {File} file
 */
export async function openMask(work, paint, file) {
  const step = work.current;
  const { readMask } = await import("../picture/masks.js");
  paint(work, step, await readMask(file, step.picture));
}
