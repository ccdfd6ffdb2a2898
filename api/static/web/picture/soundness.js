// What a file is by its first bytes, and whether its end is there. A name says neither.

const HEAD_BYTES = 1 << 20;
const TAIL_BYTES = 1 << 16;
const SOUGHT_TEXT = 1024;

/**
 * @typedef {"jpeg" | "png" | "gif" | "webp" | "bmp" | "tiff" | "heic" | "avif" | "svg" | "pdf" | "psd" | "zip" | "video" | "text" | "empty" | "unknown"} FileKind
 */
/** @typedef {{ kind: FileKind, cutOff: boolean }} Finding `cutOff`: its end is missing, as far as its format tells */

/**
 * @param {Blob} blob
 * @returns {Promise<Finding>}
 */
export async function inspect(blob) {
  if (!blob.size) return { kind: "empty", cutOff: false };
  const head = new Uint8Array(await blob.slice(0, HEAD_BYTES).arrayBuffer());
  const kind = kindOf(head);
  if (kind !== "jpeg" && kind !== "png") return { kind, cutOff: false };
  const start = Math.max(0, blob.size - TAIL_BYTES);
  const tail = new Uint8Array(await blob.slice(start).arrayBuffer());
  return { kind, cutOff: kind === "png" ? !hasEndOfPng(tail) : isCutOffJpeg(head, tail, start) };
}

/**
 * @param {Uint8Array} head
 * @returns {FileKind}
 */
function kindOf(head) {
  const at = (/** @type {number} */ start, /** @type {string} */ text) =>
    Array.from(text).every((character, index) => head[start + index] === character.charCodeAt(0));
  if (at(0, "\xff\xd8\xff")) return "jpeg";
  if (at(0, "\x89PNG")) return "png";
  if (at(0, "GIF8")) return "gif";
  if (at(0, "RIFF") && at(8, "WEBP")) return "webp";
  if (at(0, "BM") && head[14] !== undefined && head[14] < 128) return "bmp";
  if (at(0, "II*\0") || at(0, "MM\0*") || at(0, "II+\0") || at(0, "MM\0+")) return "tiff";
  if (at(4, "ftyp")) return kindOfBrand(String.fromCharCode(...head.slice(8, 12)));
  if (at(0, "%PDF")) return "pdf";
  if (at(0, "8BPS")) return "psd";
  if (at(0, "PK\x03\x04") || at(0, "PK\x05\x06")) return "zip";
  if (at(0, "\x1aE\xdf\xa3")) return "video";
  return kindOfText(head.slice(0, SOUGHT_TEXT));
}

/**
 * @param {string} brand of a file in ISO's base media format
 * @returns {FileKind}
 */
function kindOfBrand(brand) {
  if (["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"].includes(brand)) return "heic";
  return brand === "avif" || brand === "avis" ? "avif" : "video";
}

/**
 * @param {Uint8Array} start
 * @returns {FileKind}
 */
function kindOfText(start) {
  const text = new TextDecoder().decode(start);
  if (start.some((byte) => byte < 9 || (byte > 13 && byte < 32)) || text.slice(0, -1).includes("\ufffd")) return "unknown";
  return /<svg[\s>]/i.test(text) ? "svg" : "text";
}

/** @param {Uint8Array} tail */
function hasEndOfPng(tail) {
  return lastIndexOf(tail, [0x49, 0x45, 0x4e, 0x44]) >= 0; // IEND
}

/**
 * Whether a JPEG has no end after its first scan. A thumbnail's end lies before that; trailing data may follow the end.
 * @param {Uint8Array} head
 * @param {Uint8Array} tail
 * @param {number} start of the tail in the file
 */
function isCutOffJpeg(head, tail, start) {
  const scan = firstScan(head);
  if (scan === null) return head.length < HEAD_BYTES; // the whole file has no scan
  const end = lastIndexOf(tail, [0xff, 0xd9]);
  return end < 0 || start + end < scan;
}

/**
 * The place of a JPEG's first scan; null where it is not among these bytes.
 * @param {Uint8Array} head
 */
function firstScan(head) {
  for (let at = 2; at + 3 < head.length; ) {
    if (head[at] !== 0xff) return null;
    const marker = Number(head[at + 1]);
    if (marker === 0xda) return at;
    at += marker === 0xff ? 1 : 2 + Number(head[at + 2]) * 256 + Number(head[at + 3]);
  }
  return null;
}

/**
 * @param {Uint8Array} bytes
 * @param {number[]} sought
 */
function lastIndexOf(bytes, sought) {
  for (let at = bytes.length - sought.length; at >= 0; at -= 1) {
    if (sought.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
