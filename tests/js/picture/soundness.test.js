import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { inspect } = await import("../../../api/static/web/picture/soundness.js");
const { refusalOf } = await import("../../../api/static/web/picture/picture.js");

const SAMPLES = new URL("../../../samples/marked/", import.meta.url);
const END = [0xff, 0xd9];

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
    assert.deepEqual(await inspect(new Blob([bytes])), { kind: "png", cutOff: false });
    assert.deepEqual(await inspect(new Blob([bytes.slice(0, bytes.length / 2)])), { kind: "png", cutOff: true });
  }
});

test("a JPEG ends after its scan: a thumbnail's end is none, trailing data does no harm", async () => {
  assert.deepEqual(await inspect(jpeg(END)), { kind: "jpeg", cutOff: false });
  assert.deepEqual(await inspect(jpeg([...END, 0, 0, 0])), { kind: "jpeg", cutOff: false });
  assert.deepEqual(await inspect(jpeg([])), { kind: "jpeg", cutOff: true });
  assert.deepEqual(await inspect(new Blob([Uint8Array.of(0xff, 0xd8, 0xff)])), { kind: "jpeg", cutOff: true });
});

test("the end of a large JPEG is looked for at its end", async () => {
  const filler = Array.from({ length: 200_000 }, () => 7);
  assert.equal((await inspect(jpeg([...filler, ...END]))).cutOff, false);
  assert.equal((await inspect(jpeg(filler))).cutOff, true);
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

test("every kind that is no picture has a sentence of its own, and a way out", () => {
  const kinds = /** @type {const} */ (["empty", "svg", "pdf", "psd", "zip", "video", "text"]);
  const refusals = kinds.map((kind) => refusalOf(kind, false));
  assert.equal(new Set(refusals.map((refusal) => refusal?.[0])).size, kinds.length);
  assert.ok(refusals.every((refusal) => refusal?.[1]));
  assert.equal(refusalOf("jpeg", false), null);
  assert.equal(refusalOf("jpeg", true)?.[0], "The file is cut off");
});
