import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { isWorthRetrying, reasonOf } = await import("../../../api/static/web/words/reasons.js");

test("a known code has a title and advice of its own", () => {
  assert.deepEqual(reasonOf("mask_too_large"), ["The mask's file is too large", "Save the mask smaller."]);
});

test("an unknown code is its own title, with advice", () => {
  const [title, advice] = reasonOf("brand_new");
  assert.equal(title, "brand_new");
  assert.match(advice, /^Try again/);
});

test("a code named as a property of every object is unknown too", () => {
  assert.equal(reasonOf("constructor")[0], "constructor");
  assert.equal(reasonOf("toString")[0], "toString");
});

test("another try helps where the service was at fault, not where the file is", () => {
  assert.deepEqual(["worker_lost", "source_unavailable", "brand_new"].map(isWorthRetrying), [true, true, true]);
  assert.deepEqual(["image_truncated", "image_unreadable", "mask_empty"].map(isWorthRetrying), [false, false, false]);
});
