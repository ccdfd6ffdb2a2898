import assert from "node:assert/strict";
import { test } from "node:test";
import { boundsOfDifference } from "../../../api/static/web/picture/changes.js";

/** @param {number[]} values */
function grey(values) {
  return Uint8ClampedArray.from(values.flatMap((value) => [value, value, value, 255]));
}

test("the bounds are those of the pixels that differ visibly", () => {
  const before = grey([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
  const after = grey([9, 9, 20, 9, 9, 99, 9, 99, 9, 9, 9, 9]);
  assert.deepEqual(boundsOfDifference(before, after, 4), [1, 1, 4, 2]);
});

test("equal pictures have no changed place", () => {
  assert.equal(boundsOfDifference(grey([1, 2]), grey([1, 2]), 2), null);
});
