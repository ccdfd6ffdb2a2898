import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { inspect } = await import("../../../api/static/web/picture/soundness.js");
const { refusalOf } = await import("../../../api/static/web/picture/picture.js");

const SAMPLES = new URL("../../../samples/marked/", import.meta.url);
const END = [0xff, 0xd9];

/** @param {Blob} blob */
async function soundness(blob) {
  const { kind, cutOff } = await inspect(blob);
  return { kind, cutOff };
}

/**
 * A JPEG's structure: a thumbnail with an end of its own, then a scan.
 * @param {number[]} rest
 */
function jpeg(rest) {
  const thumbnail = [0xff, 0xe1, 0, 6, 1, 2, ...END];
  const scan = [0xff, 0xda, 0, 3, 0, 9, 9, 9];
  return new Blob([Uint8Array.of(0xff, 0xd8, ...thumbnail, ...scan), Uint8Array.from(rest)]);
}

/** @param {...(string | Uint8Array<ArrayBuffer>)} parts */
async function kindOf(...parts) {
  return (await inspect(new Blob(parts))).kind;
}

test("samples are whole, and cut off where their end is missing", async () => {
  for (const name of readdirSync(SAMPLES)) {
    const bytes = new Uint8Array(readFileSync(new URL(name, SAMPLES)));
    assert.deepEqual(await soundness(new Blob([bytes])), { kind: "png", cutOff: false });
    assert.deepEqual(await soundness(new Blob([bytes.slice(0, bytes.length / 2)])), { kind: "png", cutOff: true });
  }
});

test("a JPEG ends after its scan: a thumbnail's end is none, trailing data does no harm", async () => {
  assert.deepEqual(await soundness(jpeg(END)), { kind: "jpeg", cutOff: false });
  assert.deepEqual(await soundness(jpeg([...END, 0, 0, 0])), { kind: "jpeg", cutOff: false });
  assert.deepEqual(await soundness(jpeg([])), { kind: "jpeg", cutOff: true });
  assert.deepEqual(await soundness(new Blob([Uint8Array.of(0xff, 0xd8, 0xff)])), { kind: "jpeg", cutOff: true });
});

test("the end of a large JPEG is looked for at its end", async () => {
  const filler = Array.from({ length: 200_000 }, () => 7);
  assert.equal((await inspect(jpeg([...filler, ...END]))).cutOff, false);
  assert.equal((await inspect(jpeg(filler))).cutOff, true);
});

test("a WebP is cut off where it has fewer bytes than it states", async () => {
  const webp = [new Uint8Array([...Buffer.from("RIFF"), 6, 0, 0, 0]), "WEBP", "xy"];
  assert.deepEqual(await soundness(new Blob(webp)), { kind: "webp", cutOff: false });
  assert.deepEqual(await soundness(new Blob(webp.slice(0, 2))), { kind: "webp", cutOff: true });
});

/**
 * A box of ISO's base media format.
 * @param {string} type
 * @param {number} size that it states
 * @param {number} [real]
 */
function box(type, size, real = size) {
  const bytes = new Uint8Array(real);
  new DataView(bytes.buffer).setUint32(0, size);
  bytes.set(Buffer.from(type), 4);
  return bytes;
}

test("a HEIC or AVIF is cut off where a box reaches beyond its end", async () => {
  const start = box("ftypheic", 24);
  assert.deepEqual(await soundness(new Blob([start, box("mdat", 90)])), { kind: "heic", cutOff: false });
  assert.deepEqual(await soundness(new Blob([start, box("mdat", 0, 50)])), { kind: "heic", cutOff: false });
  assert.deepEqual(await soundness(new Blob([start, box("mdat", 90, 50)])), { kind: "heic", cutOff: true });
  assert.deepEqual(await soundness(new Blob([box("ftypavif", 24), new Uint8Array(5)])), { kind: "avif", cutOff: true });
});

test("the head of a PNG or JPEG states its pixels", async () => {
  const [first] = readdirSync(SAMPLES);
  const bytes = new Uint8Array(readFileSync(new URL(String(first), SAMPLES)));
  const header = new DataView(bytes.buffer);
  assert.equal((await inspect(new Blob([bytes]))).pixels, header.getUint32(16) * header.getUint32(20));
  const frame = [0xff, 0xc2, 0, 8, 8, 2, 1, 3, 9, 1];
  assert.equal((await inspect(new Blob([Uint8Array.of(0xff, 0xd8, ...frame)]))).pixels, 0x201 * 0x309);
  assert.equal((await inspect(new Blob([Uint8Array.of(0xff, 0xd8, ...END)]))).pixels, 0);
});

test("a kind is told by the first bytes", async () => {
  assert.equal(await kindOf(), "empty");
  assert.equal(await kindOf('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'), "svg");
  assert.equal(await kindOf("Dear Sir or Madam"), "text");
  assert.equal(await kindOf("价格表"), "text");
  assert.equal(await kindOf("%PDF-1.7"), "pdf");
  assert.equal(await kindOf("PK\x03\x04"), "zip");
  assert.equal(await kindOf("\0\0\0\x18ftypheic"), "heic");
  assert.equal(await kindOf("\0\0\0\x18ftypavif"), "avif");
  assert.equal(await kindOf("\0\0\0\x18ftypisom"), "video");
  assert.equal(await kindOf("II*\0"), "tiff");
  assert.equal(await kindOf("RIFF1234WEBP"), "webp");
  assert.equal(await kindOf(Uint8Array.of(1, 2, 3)), "unknown");
});

test("a folder, or a file that is gone, cannot be read", async () => {
  const gone = new Blob(["was here"]);
  gone.slice = () => Object.assign(new Blob(), { arrayBuffer: () => Promise.reject(new DOMException("gone", "NotFoundError")) });
  assert.equal((await inspect(gone)).kind, "unreadable");
});

test("every kind that is no picture has a sentence of its own, and a way out", () => {
  const kinds = /** @type {const} */ (["empty", "unreadable", "svg", "pdf", "psd", "zip", "video", "text"]);
  const refusals = kinds.map((kind) => refusalOf(kind, false));
  assert.equal(new Set(refusals.map((refusal) => refusal?.[0])).size, kinds.length);
  assert.ok(refusals.every((refusal) => refusal?.[1]));
  assert.equal(refusalOf("jpeg", false), null);
  assert.equal(refusalOf("jpeg", true)?.[0], "The file is cut off");
});
