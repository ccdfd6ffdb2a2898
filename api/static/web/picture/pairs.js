// Pairs to look at closely: an image of a job before and after, or a sample with its mark and without.
//
// A pair is {key, name, facts, download, soon(signal), whole(signal), hint}: soon() gives [before, after] quickly, whole()
// as large as they are; without it, or where the browser cannot show that, `hint` says what is seen.

import { below, fetchBlob, patiently } from "../net/api.js";
import { openPicture } from "./picture.js";
import { number, t } from "../words/texts.js";

const LIMITS = { bytes: 60e6, pixels: 100e6 };

/** Of an image that has a preview. */
export function pairOfImage(image) {
  return {
    key: image.id,
    name: image.name,
    facts: [
      t("{width} × {height} pixels", { width: number(image.width), height: number(image.height) }),
      image.record.texts?.length ? t("taken off: {texts}", { texts: image.record.texts.join(" · ") }) : "",
    ].filter(Boolean).join(", "),
    download: image.result_url && below(image.result_url),
    soon: (signal) => halves(image, signal),
    whole: image.source_url ? null : (signal) => both([`/v1/images/${image.id}/source`, image.result_url], image.name, signal),
    hint: image.source_url ? t("The original is not kept here: these are small pictures.") : t("The browser cannot show the files themselves: these are small pictures."),
  };
}

/** Of one of a template's samples, from 1. */
export function pairOfSample({ id, previews }, at) {
  const name = t("Sample {count}", { count: number(at) });
  return {
    key: `${id} ${at}`,
    name,
    facts: "",
    download: null,
    soon: (signal) => both([previews[`before-${at}`], previews[`after-${at}`]], name, signal),
    whole: null,
    hint: t("The mark is taken off by un-blending alone here; in the job what still shows is filled besides."),
  };
}

async function both(paths, name, signal) {
  return Promise.all(paths.map(async (path) => openPicture(await patiently(() => fetchBlob(path, signal), { signal }), name, LIMITS)));
}

/** The two halves of a preview as pictures of the whole picture's size. */
async function halves(image, signal) {
  const blob = await patiently(() => fetchBlob(image.preview_url, signal), { signal });
  const { width, height } = image.record.preview;
  const found = await Promise.all([0, height].map((top) => createImageBitmap(blob, 0, top, width, height)));
  return found.map((preview) => ({
    name: image.name, blob, width: image.width, height: image.height, preview, scale: width / image.width,
  }));
}
