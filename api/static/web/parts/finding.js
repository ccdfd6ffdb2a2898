// Marks that the service finds in a picture: its text, or a logo that the person gives. They come back as paint, to be
// changed before anything is erased. Loaded at the first search.

import { isAbort } from "../frame/dom.js";
import { notify } from "../frame/notices.js";
import { callPatiently, delay } from "../net/api.js";
import { awaitResult, submitRepair } from "../net/repairing.js";
import { uploadFile } from "../files/upload.js";
import { logoFile } from "../picture/logo.js";
import { readMask } from "../picture/masks.js";
import { number, t } from "../words/texts.js";

/** @import { Statement } from "../frame/rights.js" */
/** @import { Image, Job } from "../net/answers.js" */
/** @import { BackgroundUpload, WaitOptions } from "../net/repairing.js" */
/** @import { Picture } from "../picture/picture.js" */
/** @import { Pixels } from "../picture/strokes.js" */
/** @typedef {{ picture: Picture, upload: BackgroundUpload }} Searched */
/** @typedef {(image: Image) => void} Tell says what was found, once it is painted */
/** @typedef {{ pixels: Pixels, tell: () => void }} Found */

const LOOK_AGAIN_MS = 400;
const SURE = 0.5;

/**
 * The text in a picture as paint; null where there is none, which a notice says. Throws Problem, Unusable or AbortError.
 * @param {Searched} searched
 * @param {Statement} rights
 * @param {WaitOptions} options
 * @returns {Promise<Found | null>}
 */
export async function findText({ picture, upload }, rights, options) {
  const searching = saysSearching(options);
  const fields = { mask: { mode: "text", any_text: true }, options: { result: "mask" } };
  const job = await submitRepair(upload, picture.name, () => Promise.resolve(fields), rights, searching);
  const found = await foundIn(job, picture, searching, ({ record }) => {
    const texts = (record.texts ?? []).filter(Boolean).map((text) => `“${text}”`);
    notify("info", texts.length ? t("Text found: {texts}", { texts: texts.join(", ") }) : t("Text found"), t("Take paint off what is to stay, then erase."));
  });
  if (!found) notify("info", t("There is no text in the picture that can be read"), t("Paint over the mark, or select it by a click."));
  return found;
}

/**
 * A logo in a picture as paint; null where it is not found, which a notice says. Throws Problem, Unusable or AbortError.
 * @param {File} file of the logo
 * @param {Searched} searched
 * @param {Statement} rights
 * @param {WaitOptions} options
 * @returns {Promise<Found | null>}
 */
export async function findLogo(file, { picture, upload }, rights, options) {
  const searching = saysSearching(options);
  const logo = await logoFile(file);
  const { onWait, signal } = options;
  const job = await submitRepair(upload, picture.name, async () => ({
    mask: { mode: "auto", logo_upload_id: await uploadFile("logo.png", logo, { onWait, signal }), approve: "auto", min_confidence: 0 },
    options: { result: "mask" },
  }), rights, searching);
  const found = (await isMarkFound(job, searching)) ? await foundIn(job, picture, searching, tellLogo) : null;
  if (!found) notify("info", t("The logo is not found in the picture"), t("Paint over it, or select it by a click."), { lasting: true });
  return found;
}

/** @param {Image} image */
function tellLogo({ record }) {
  const certainty = record.certainty?.[0] ?? 0;
  const percent = number(Math.round(100 * certainty));
  if (certainty < SURE) notify("warning", t("Something like the logo is found; the service is {percent} % sure", { percent }), t("Look closely at the paint before you erase."), { lasting: true });
  else notify("info", t("The logo is found; the service is {percent} % sure", { percent }), t("Look at the paint, then erase."));
}

/**
 * The same waiting, with progress that speaks of a search once the picture is sent.
 * @param {WaitOptions} options
 * @returns {WaitOptions}
 */
function saysSearching(options) {
  return { ...options, onProgress(progress) { options.onProgress(progress.stage === "sending" ? progress : { stage: "searching" }); } };
}

/**
 * The mask that a job hands back, as paint; null where it found no mark.
 * @param {Job} job
 * @param {Picture} picture
 * @param {WaitOptions} options
 * @param {Tell} tell
 * @returns {Promise<Found | null>}
 */
async function foundIn(job, picture, options, tell) {
  const { blob, image } = await awaitResult(job, options);
  if (image.state === "skipped") return null;
  return { pixels: await readMask(blob, picture), tell: () => { tell(image); } };
}

/**
 * Wait until a job has found its mark; false where it found none, and is canceled.
 * @param {Job} job
 * @param {WaitOptions} options
 */
async function isMarkFound(job, { onProgress, onWait, signal }) {
  try {
    for (;;) {
      const { state } = /** @type {Job} */ (await callPatiently("GET", job.links.self, { onWait, signal }));
      if (state === "canceled") return false; // the service has done that, where the page was away for a while
      if (state === "needs_review") {
        await cancel(job);
        return false;
      }
      if (state !== "estimating") return true;
      onProgress({ stage: "searching" });
      await delay(LOOK_AGAIN_MS, signal);
    }
  } catch (error) {
    if (isAbort(error)) cancel(job).catch(console.warn); // the person has gone on
    throw error;
  }
}

/** @param {Job} job */
function cancel(job) {
  return callPatiently("POST", `${job.links.self}/cancel`);
}
