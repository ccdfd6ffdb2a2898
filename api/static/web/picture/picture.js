// A picture on the page: its file untouched, and a preview small enough to draw, also of 100 megapixels.

import { number, t } from "../words/texts.js";

/** @import { ServiceView } from "../net/api.js" */
/**
 * Size in pixels as a person sees the picture; the preview is `scale` times as large.
 * @typedef {{ name: string, blob: Blob, width: number, height: number, preview: ImageBitmap, scale: number }} Picture
 */
/** @typedef {{ bytes: number, pixels: number }} Limits */

const MOST_PREVIEW_PIXELS = 8e6;
const SERVICE_FORMATS = /\.(heic|heif|tiff?|avif)$/i; // the service reads them, not every browser

/** The reason why the page cannot work on a file, with advice. */
export class Unusable extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {{ serviceMayShow?: boolean }} [options]
   */
  constructor(title, detail, { serviceMayShow = false } = {}) {
    super(detail);
    this.title = title;
    /** Whether the service may show a file that the browser cannot show. */
    this.serviceMayShow = serviceMayShow;
  }
}

/**
 * Open a file as a picture. Throws Unusable.
 * @param {Blob} blob
 * @param {string} name
 * @param {Limits} limits
 * @returns {Promise<Picture>}
 */
export async function openPicture(blob, name, limits) {
  if (blob.size > limits.bytes) {
    throw new Unusable(t("The picture's file is too large"), t("It may have {count} megabytes at most.", { count: number(limits.bytes / 1e6) }));
  }
  const { width, height } = await sizeOf(blob, name);
  if (width * height > limits.pixels) {
    throw new Unusable(t("The picture has too many pixels"), t("It may have {count} megapixels at most.", { count: number(limits.pixels / 1e6) }));
  }
  const { width: resizeWidth, height: resizeHeight } = previewSize(width, height);
  const preview = await decode(blob, name, { resizeWidth, resizeHeight, resizeQuality: "high" });
  return { name, blob, width, height, preview, scale: preview.width / width };
}

/**
 * Open a picture that the browser cannot show by the service's view of it.
 * @param {Blob} blob
 * @param {string} name
 * @param {ServiceView} view
 * @returns {Promise<Picture>}
 */
export async function openServiceView(blob, name, view) {
  const preview = await decode(view.blob, name);
  return { name, blob, width: view.width, height: view.height, preview, scale: preview.width / view.width };
}

/**
 * The size of a picture's preview, in whole pixels.
 * @param {number} width
 * @param {number} height
 */
export function previewSize(width, height) {
  const scale = Math.min(1, Math.sqrt(MOST_PREVIEW_PIXELS / (width * height)));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * A name for the cleaned picture: the source's, marked as clean.
 * @param {string} name
 */
export function cleanName(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)}-clean${name.slice(dot)}` : `${name}-clean`;
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {ImageBitmapOptions} [options]
 */
async function decode(blob, name, options) {
  try {
    return await createImageBitmap(blob, options);
  } catch {
    throw unreadable(name); // its head can be read, its pixels cannot: it is cut off, or damaged
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @returns {Promise<{ width: number, height: number }>}
 */
async function sizeOf(blob, name) {
  // An image element reads the size from the file's head; nothing is decoded yet.
  const url = URL.createObjectURL(blob);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => { reject(unreadable(name)); };
      image.src = url;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** @param {string} name */
function unreadable(name) {
  return new Unusable(
    t("This browser cannot show the file"),
    t("Choose a JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP."),
    { serviceMayShow: SERVICE_FORMATS.test(name) },
  );
}
