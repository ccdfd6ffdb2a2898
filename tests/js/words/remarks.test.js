import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { remarksOf } = await import("../../../api/static/web/words/remarks.js");

test("what a result lacks is named, by words where there are some", () => {
  assert.deepEqual(remarksOf({}), []);
  assert.deepEqual(remarksOf({ left_out: [] }), []);
  assert.deepEqual(remarksOf({ left_out: ["gain_map", "novelty"] }), ["Left out: gain map, novelty"]);
});

test("a name that changed, or that hides another format, is told", () => {
  assert.deepEqual(remarksOf({ extension_changed: { from: ".jpg", to: ".webp" } }), ["Named .webp after its format"]);
  assert.deepEqual(remarksOf({ extension_kept: { name: ".jpg", format: ".webp" } }), ["Its format is that of .webp"]);
});
