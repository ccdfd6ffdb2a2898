import assert from "node:assert/strict";
import { test } from "node:test";
import { Runs, addColumns, packCounts, runLengths } from "../../../api/static/web/picture/runlengths.js";
import { Strokes } from "../../../api/static/web/picture/strokes.js";

/**
 * A band of pixels from rows of alpha values.
 * @param {number[][]} rows
 */
function band(rows) {
  return new Uint8ClampedArray(rows.flat().flatMap((alpha) => [0, 0, 0, alpha]));
}

/**
 * COCO's own decoding of a string of run lengths (maskApi.c, rleFrString).
 * @param {string} text
 */
function unpackCounts(text) {
  /** @type {number[]} */
  const counts = [];
  for (let position = 0; position < text.length; ) {
    let value = 0;
    let shift = 0;
    for (let more = true; more; shift += 5) {
      const bits = text.charCodeAt(position) - 48;
      position += 1;
      value |= (bits & 0x1f) << shift;
      more = Boolean(bits & 0x20);
      if (!more && bits & 0x10) value |= -1 << (shift + 5);
    }
    counts.push(value + (counts.length > 2 ? Number(counts[counts.length - 2]) : 0));
  }
  return counts;
}

test("runs of one value are joined, and empty runs are dropped", () => {
  const runs = new Runs();
  runs.add(0, 3);
  runs.add(1, 0);
  runs.add(0, 2);
  runs.add(1, 4);
  assert.deepEqual(runs.counts, [5, 4]);
});

test("a mask that begins with a marked pixel has an empty first run", () => {
  const runs = new Runs();
  runs.add(1, 2);
  assert.deepEqual(runs.counts, [0, 2]);
});

test("a band is read column by column, with what lies above and below it", () => {
  const runs = new Runs();
  addColumns(runs, band([[255, 0], [255, 255], [0, 255]]), 2, 1, 2);
  assert.deepEqual(runs.counts, [1, 2, 5, 2, 2]);
});

test("a pixel is marked from half of full opacity on", () => {
  const runs = new Runs();
  addColumns(runs, band([[127], [128], [255]]), 1, 0, 0);
  assert.deepEqual(runs.counts, [1, 2]);
});

test("a picture without marks is one run", async () => {
  assert.deepEqual(await runLengths(new Strokes(), 65_000, 30), [1_950_000]);
});

test("COCO's reader reads back what was packed", () => {
  const cases = [[0], [5, 4], [0, 2], [1, 2, 5, 2, 2], [31, 32, 33, 1023, 1024], [99_999_999, 1, 1, 99_999_998, 1], [7, 900_000, 3, 2, 500_000, 1]];
  for (const counts of cases) assert.deepEqual(unpackCounts(packCounts(counts)), counts);
});

test("the packed string is COCO's", () => {
  assert.equal(packCounts([6, 1, 40, 4, 5, 4, 5, 4, 21]), "61X13mN000`0");
});
