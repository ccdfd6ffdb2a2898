// Pairs to compare closely: an image of a job before and after, or a template's sample with its mark and without.

import { fetchBlob, retryWhileAway } from "../net/api.js";
import { below } from "../net/below.js";
import { number, t } from "../words/texts.js";
import { openPicture } from "./picture.js";

/** @import { Image, Template } from "../net/answers.js" */
/** @import { Picture } from "./picture.js" */
/** @typedef {[before: Picture, after: Picture]} Opened */
/**
 * `openPreview` is quick; `openWhole` gives full size, null where there is none. The hint says what the preview is.
 * @typedef {{
 *   key: string,
 *   name: string,
 *   facts: string,
 *   download: string | null,
 *   openPreview: (signal: AbortSignal) => Promise<Opened>,
 *   openWhole: ((signal: AbortSignal) => Promise<Opened>) | null,
 *   hint: string,
 * }} Pair
 */

const LIMITS = { bytes: 60e6, pixels: 100e6 };

/**
 * The pair of an image; null without a preview.
 * @param {Image} image
 * @returns {Pair | null}
 */
export function pairOfImage(image) {
  const { width, height, preview_url, result_url, record } = image;
  const { preview, texts } = record;
  if (width === null || height === null || preview_url === null || !preview) return null;
  const size = t("{width} × {height} pixels", { width: number(width), height: number(height) });
  const kept = image.source_url === null && result_url !== null;
  return {
    key: image.id,
    name: image.name,
    facts: [size, texts?.length ? t("taken off: {texts}", { texts: texts.join(" · ") }) : ""].filter(Boolean).join(", "),
    download: result_url && below(result_url),
    openPreview: (signal) => openHalves(preview_url, preview, { name: image.name, width, height }, signal),
    openWhole: kept ? (signal) => openBoth(`/v1/images/${image.id}/source`, result_url, image.name, signal) : null,
    hint: image.source_url ? t("The original is not kept here: these are small pictures.") : t("The browser cannot show the files themselves: these are small pictures."),
  };
}

/**
 * The pairs of a template's samples.
 * @param {Pick<Template, "id" | "previews">} template
 * @returns {Pair[]}
 */
export function pairsOfSamples({ id, previews }) {
  return samplePreviews(previews).map(([before, after], index) => {
    const name = t("Sample {count}", { count: number(index + 1) });
    return {
      key: `${id} ${index + 1}`,
      name,
      facts: "",
      download: null,
      openPreview: (signal) => openBoth(before, after, name, signal),
      openWhole: null,
      hint: t("The mark is taken off by un-blending alone here; in the job what still shows is filled besides."),
    };
  });
}

/**
 * The addresses of a template's samples before and after.
 * @param {Record<string, string>} previews
 * @returns {[before: string, after: string][]}
 */
export function samplePreviews(previews) {
  /** @type {[string, string][]} */
  const samples = [];
  for (let index = 1; ; index += 1) {
    const [before, after] = [previews[`before-${index}`], previews[`after-${index}`]];
    if (before === undefined || after === undefined) return samples;
    samples.push([before, after]);
  }
}

/**
 * @param {string} before
 * @param {string} after
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<Opened>}
 */
async function openBoth(before, after, name, signal) {
  const open = async (/** @type {string} */ path) => openPicture(await retryWhileAway(() => fetchBlob(path, signal), { signal }), name, LIMITS);
  return Promise.all([open(before), open(after)]);
}

/**
 * The two halves of an image's preview, as pictures of the image's size.
 * @param {string} path
 * @param {{ width: number, height: number }} half
 * @param {{ name: string, width: number, height: number }} image
 * @param {AbortSignal} signal
 * @returns {Promise<Opened>}
 */
async function openHalves(path, half, image, signal) {
  const blob = await retryWhileAway(() => fetchBlob(path, signal), { signal });
  const open = async (/** @type {number} */ top) => {
    const preview = await createImageBitmap(blob, 0, top, half.width, half.height);
    return { ...image, blob, preview, scale: half.width / image.width, view: null };
  };
  return Promise.all([open(0), open(half.height)]);
}
