// A picture to work on: its file untouched, and a preview small enough to draw, also of 100 megapixels.

import { number, t } from "../words/texts.js";

const MOST_PREVIEW_PIXELS = 8e6;
const OF_THE_SERVICE = /\.(heic|heif|tiff?|avif)$/i; // what it knows and not every browser

/** Why a file cannot be worked on here: a title, and what to do. `unseen`: the browser cannot show it, the service may. */
export class Unusable extends Error {
  constructor(title, detail, { unseen = false } = {}) {
    super(detail);
    this.title = title;
    this.unseen = unseen;
  }
}

/**
 * `{name, blob, width, height, preview, scale}`: size in pixels as a person sees the picture, the preview an ImageBitmap
 * that is `scale` times as large. Throws Unusable.
 */
export async function openPicture(blob, name, limits) {
  if (blob.size > limits.bytes) {
    throw new Unusable(t("The picture's file is too large"), t("It may have {count} megabytes at most.", { count: number(limits.bytes / 1e6) }));
  }
  const { width, height } = await sizeOf(blob, name);
  if (width * height > limits.pixels) {
    throw new Unusable(t("The picture has too many pixels"), t("It may have {count} megapixels at most.", { count: number(limits.pixels / 1e6) }));
  }
  const scale = Math.min(1, Math.sqrt(MOST_PREVIEW_PIXELS / (width * height)));
  const preview = await createImageBitmap(blob, {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: "high",
  });
  return { name, blob, width, height, preview, scale: preview.width / width };
}

/** The same of a picture that the browser cannot show: `view` is what the service shows of it (api.js, fetchView). */
export async function openViewed(blob, name, view) {
  const preview = await createImageBitmap(view.blob);
  return { name, blob, width: view.width, height: view.height, preview, scale: preview.width / view.width };
}

/** A name for the cleaned picture: the source's, marked as clean. */
export function cleanName(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)}-clean${name.slice(dot)}` : `${name}-clean`;
}

async function sizeOf(blob, name) {
  // An element knows the size from the file's head; nothing is decoded yet.
  const url = URL.createObjectURL(blob);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Unusable(
        t("This browser cannot show the file"),
        t("Choose a JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP."),
        { unseen: OF_THE_SERVICE.test(name) },
      ));
      image.src = url;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(url);
  }
}
