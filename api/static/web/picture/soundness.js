// What a file is by its first bytes, and whether its end is there. A name says neither.

const HEAD_BYTES = 1 << 20;
const TAIL_BYTES = 1 << 16;
const SOUGHT_TEXT = 1024;

/**
 * @typedef {"jpeg" | "png" | "gif" | "webp" | "bmp" | "tiff" | "heic" | "avif" | "svg" | "pdf" | "psd" | "zip" | "video" | "text" | "empty" | "unreadable" | "unknown"} FileKind
 */
/**
 * `cutOff`: its end is missing, as far as its format tells; `pixels`: as the head of a JPEG or PNG states, else 0.
 * @typedef {{ kind: FileKind, cutOff: boolean, pixels: number }} Finding
 */

/**
 * @param {Blob} blob
 * @returns {Promise<Finding>}
 */
export async function inspect(blob) {
  if (!blob.size) return { kind: "empty", cutOff: false, pixels: 0 };
  const bytes = await blob.slice(0, HEAD_BYTES).arrayBuffer().catch(() => null); // a folder, or a file that is gone
  if (!bytes) return { kind: "unreadable", cutOff: false, pixels: 0 };
  const head = new Uint8Array(bytes);
  const kind = kindOf(head);
  return { kind, cutOff: await isCutOff(blob, kind, head), pixels: pixelsOf(kind, head) };
}

/**
 * @param {Blob} blob
 * @param {FileKind} kind
 * @param {Uint8Array} head
 */
async function isCutOff(blob, kind, head) {
  if (kind === "webp") return blob.size < 8 + numberAt(head, 4, { littleEndian: true });
  if (kind === "heic" || kind === "avif") return hasCutOffBox(blob);
  if (kind !== "jpeg" && kind !== "png") return false;
  const start = Math.max(0, blob.size - TAIL_BYTES);
  const tail = new Uint8Array(await blob.slice(start).arrayBuffer());
  return kind === "png" ? !hasEndOfPng(tail) : isCutOffJpeg(head, tail, start);
}

/**
 * Width times height.
 * @param {FileKind} kind
 * @param {Uint8Array} head
 */
function pixelsOf(kind, head) {
  if (kind === "png") return numberAt(head, 16) * numberAt(head, 20);
  const frame = kind === "jpeg" ? placeInJpeg(head, isFrame) : null;
  if (frame === null) return 0;
  const [height, width] = [numberAt(head, frame + 3) & 0xffff, numberAt(head, frame + 5) & 0xffff];
  return width * height;
}

/**
 * The unsigned number of 32 bits at a place; 0 beyond the end.
 * @param {Uint8Array} bytes
 * @param {number} place
 * @param {{ littleEndian?: boolean }} [options]
 */
function numberAt(bytes, place, { littleEndian = false } = {}) {
  return place + 4 > bytes.length ? 0 : new DataView(bytes.buffer).getUint32(place, littleEndian);
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

/**
 * Whether one of the outer boxes of a file in ISO's base media format reaches beyond its end. A box of size 0 goes to the end.
 * @param {Blob} blob
 */
async function hasCutOffBox(blob) {
  for (let start = 0; start < blob.size; ) {
    const box = new Uint8Array(await blob.slice(start, start + 16).arrayBuffer());
    const short = numberAt(box, 0);
    const size = short === 1 ? numberAt(box, 8) * 2 ** 32 + numberAt(box, 12) : short;
    if (start + size > blob.size || box.length < 8) return true;
    if (size < 8) return false;
    start += size;
  }
  return false;
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
  const scan = placeInJpeg(head, (marker) => marker === 0xda);
  if (scan === null) return head.length < HEAD_BYTES; // the whole file has no scan
  const end = lastIndexOf(tail, [0xff, 0xd9]);
  return end < 0 || start + end < scan;
}

/**
 * The place of a JPEG's first segment with such a marker; null where it is not among these bytes.
 * @param {Uint8Array} head
 * @param {(marker: number) => boolean} isSought
 */
function placeInJpeg(head, isSought) {
  for (let at = 2; at + 3 < head.length; ) {
    if (head[at] !== 0xff) return null;
    const marker = Number(head[at + 1]);
    if (isSought(marker)) return at;
    at += marker === 0xff ? 1 : 2 + Number(head[at + 2]) * 256 + Number(head[at + 3]);
  }
  return null;
}

/**
 * Whether a segment begins a frame, and so states its size.
 * @param {number} marker
 */
function isFrame(marker) {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
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
