import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { cleanName, previewSize } = await import("../../../api/static/web/picture/picture.js");

test("a preview of a small picture has its size", () => {
  assert.deepEqual(previewSize(3000, 2000), { width: 3000, height: 2000 });
});

test("a preview of a large picture has eight megapixels and the same shape", () => {
  assert.deepEqual(previewSize(12_500, 8000), { width: 3536, height: 2263 });
});

test("a preview of a thin picture has a pixel at least", () => {
  assert.deepEqual(previewSize(100_000_000, 1), { width: 28_284_271, height: 1 });
});

test("a clean picture's name keeps its ending", () => {
  assert.equal(cleanName("shirt.front.jpg"), "shirt.front-clean.jpg");
  assert.equal(cleanName("shirt"), "shirt-clean");
  assert.equal(cleanName(".hidden"), ".hidden-clean");
});
