import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { runsOf } = await import("../../../api/static/web/picture/masks.js");

test("each run of marked values in a row is one entry", () => {
  const values = [255, 255, 0, 128, 127, 0, 0, 200];
  assert.deepEqual(runsOf(values, { width: 4, height: 2 }), [0, 0, 2, 3, 0, 1, 3, 1, 1]);
});

test("a channel of a band is read by its stride, at its place in the picture", () => {
  const pixels = [0, 0, 0, 255, 0, 0, 0, 0];
  assert.deepEqual(runsOf(pixels, { width: 2, height: 1 }, { stride: 4, offset: 3, top: 7 }), [0, 7, 1]);
});
