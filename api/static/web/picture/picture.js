// A picture on the page: its file untouched, and a preview small enough to draw, also of 100 megapixels.

import { Unusable } from "../files/unusable.js";
import { bytes, number, t } from "../words/texts.js";
import { inspect } from "./soundness.js";

/** @import { FileKind } from "./soundness.js" */
/** @import { ServiceView } from "../net/api.js" */
/**
 * Size in pixels as a person sees the picture; the preview is `scale` times as large. `view` is the service's, where the
 * browser cannot show the file.
 * @typedef {{
 *   name: string,
 *   blob: Blob,
 *   width: number,
 *   height: number,
 *   preview: ImageBitmap,
 *   scale: number,
 *   view: Blob | null,
 * }} Picture
 */
/** @typedef {{ bytes: number, pixels: number }} Limits */

const MOST_PREVIEW_PIXELS = 8e6;
/** The service reads them, not every browser. @type {FileKind[]} */
const SERVICE_KINDS = ["heic", "tiff", "avif"];

/** @type {Partial<Record<FileKind, () => [title: string, detail: string]>>} */
const REFUSALS = {
  empty: () => [t("The file is empty"), t("It has no bytes at all: copy or download it again.")],
  unreadable: () => [t("The file cannot be read"), t("It is a folder, or it is gone. Make a job of a folder: Jobs, then New job.")],
  svg: () => [t("An SVG is a drawing, not a photo"), t("Save it as PNG, then choose that.")],
  pdf: () => [t("A PDF is a document, not a picture"), t("Save its pages as pictures, then choose those.")],
  psd: () => [t("A Photoshop file has layers"), t("Save it as PNG or JPEG, then choose that.")],
  zip: () => [t("A ZIP holds many files"), t("Unpack it, or make a job of it: Jobs, then New job.")],
  video: () => [t("This is a film, not a picture"), t("Save a frame of it as PNG, then choose that.")],
  text: () => [t("This is text, not a picture"), t("Choose a JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP.")],
};

/**
 * Open a file as a picture. Throws Unusable.
 * @param {Blob} blob
 * @param {string} name
 * @param {Limits} limits
 * @returns {Promise<Picture>}
 */
export async function openPicture(blob, name, limits) {
  if (blob.size > limits.bytes) {
    const sizes = { size: bytes(blob.size), most: bytes(limits.bytes) };
    throw new Unusable(t("The picture's file is too large"), t("It has {size}, and {most} is the most. Save it as JPEG, or smaller.", sizes));
  }
  const { kind, cutOff, pixels } = await inspect(blob);
  const refusal = refusalOf(kind, cutOff);
  if (refusal) throw new Unusable(...refusal);
  refuseOver(limits, pixels); // some are too large for the browser to tell their size
  const { width, height } = await sizeOf(blob, kind);
  refuseOver(limits, width * height);
  const preview = await decodeSmall(blob, kind, width, height);
  return { name, blob, width, height, preview, scale: preview.width / width, view: null };
}

/**
 * Throws Unusable for more pixels than may be.
 * @param {Limits} limits
 * @param {number} pixels
 */
function refuseOver(limits, pixels) {
  if (pixels <= limits.pixels) return;
  const sizes = { count: number(pixels / 1e6), most: number(limits.pixels / 1e6) };
  throw new Unusable(t("The picture has too many pixels"), t("It has {count} megapixels, and {most} are the most. Scale it down.", sizes));
}

/**
 * Open a picture again that was opened before. Throws Unusable.
 * @param {Pick<Picture, "name" | "blob" | "width" | "height" | "view">} picture
 * @returns {Promise<Picture>}
 */
export async function reopenPicture({ name, blob, width, height, view }) {
  const preview = view ? await decode(view, "webp") : await decodeSmall(blob, "unknown", width, height);
  return { name, blob, width, height, view, preview, scale: preview.width / width };
}

/**
 * Open a picture that the browser cannot show by the service's view of it.
 * @param {Blob} blob
 * @param {string} name
 * @param {ServiceView} view
 * @returns {Promise<Picture>}
 */
export async function openServiceView(blob, name, view) {
  const preview = await decode(view.blob, "webp");
  return { name, blob, width: view.width, height: view.height, preview, scale: preview.width / view.width, view: view.blob };
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
 * @param {FileKind} kind
 * @param {number} width
 * @param {number} height
 */
function decodeSmall(blob, kind, width, height) {
  const { width: resizeWidth, height: resizeHeight } = previewSize(width, height);
  return decode(blob, kind, { resizeWidth, resizeHeight, resizeQuality: "high" });
}

/**
 * @param {Blob} blob
 * @param {FileKind} kind
 * @param {ImageBitmapOptions} [options]
 */
async function decode(blob, kind, options) {
  try {
    return await createImageBitmap(blob, options);
  } catch {
    throw undecodable(kind); // its head can be read, its pixels cannot
  }
}

/**
 * @param {Blob} blob
 * @param {FileKind} kind
 * @returns {Promise<{ width: number, height: number }>}
 */
async function sizeOf(blob, kind) {
  // An image element reads the size from the file's head; nothing is decoded yet.
  const url = URL.createObjectURL(blob);
  const image = new Image();
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => { reject(undecodable(kind)); };
      image.src = url;
    });
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Why a file is refused before it is decoded, with a way out; null where nothing speaks against it.
 * @param {FileKind} kind
 * @param {boolean} cutOff
 * @returns {[title: string, detail: string] | null}
 */
export function refusalOf(kind, cutOff) {
  if (cutOff) return [t("The file is cut off"), t("Its end is missing: copy or download it again.")];
  return REFUSALS[kind]?.() ?? null;
}

/** @param {FileKind} kind */
function undecodable(kind) {
  const serviceMayShow = SERVICE_KINDS.includes(kind);
  if (kind === "unknown" || serviceMayShow) {
    const choose = t("Choose a JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP.");
    return new Unusable(t("This browser cannot show the file"), choose, { serviceMayShow });
  }
  return new Unusable(t("The picture is damaged"), t("Open it in another program and save it again, or use another copy."));
}
