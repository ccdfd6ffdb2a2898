import assert from "node:assert/strict";
import { test } from "node:test";
import { Strokes } from "../../../api/static/web/picture/strokes.js";

/** @import { Point, Shape } from "../../../api/static/web/picture/strokes.js" */

/**
 * @param {number} left
 * @param {number} top
 * @param {number} right
 * @param {number} bottom
 * @param {boolean} [erases]
 * @returns {Shape}
 */
function area(left, top, right, bottom, erases = false) {
  return { kind: "area", points: [[left, top], [right, top], [right, bottom], [left, bottom]], erases };
}

/**
 * @param {number} size
 * @param {...Point} points
 * @returns {Shape}
 */
function line(size, ...points) {
  return { kind: "line", size, points, erases: false };
}

test("new strokes are empty, with nothing to undo or redo", () => {
  const strokes = new Strokes();
  assert.deepEqual([strokes.isEmpty, strokes.canUndo, strokes.canRedo], [true, false, false]);
  assert.equal(strokes.bounds(10, 10), null);
  strokes.undo();
  strokes.redo();
  assert.ok(strokes.isEmpty);
});

test("undo and redo go back and forth, and a new shape ends the redo", () => {
  const strokes = new Strokes();
  strokes.add(area(0, 0, 2, 2));
  strokes.add(area(4, 4, 6, 6));
  strokes.undo();
  assert.deepEqual(strokes.boxes(10, 10), [[0, 0, 3, 3]]);
  strokes.redo();
  assert.equal(strokes.boxes(10, 10).length, 2);
  strokes.undo();
  strokes.add(area(7, 7, 8, 8));
  assert.equal(strokes.canRedo, false);
});

test("clearing empties the strokes and can be undone", () => {
  const strokes = new Strokes();
  strokes.add(area(0, 0, 2, 2));
  strokes.add({ kind: "clear" });
  assert.ok(strokes.isEmpty);
  strokes.undo();
  assert.equal(strokes.isEmpty, false);
});

test("an eraser alone marks nothing and widens no bounds", () => {
  const strokes = new Strokes();
  strokes.add(area(0, 0, 9, 9, true));
  assert.ok(strokes.isEmpty);
  strokes.add(area(4, 4, 5, 5));
  strokes.add(area(0, 0, 9, 9, true));
  assert.deepEqual(strokes.bounds(10, 10), [3, 3, 6, 6]);
});

test("bounds reach half a line's size and a pixel more, within the picture", () => {
  const strokes = new Strokes();
  strokes.add(line(4, [10, 10], [20, 10]));
  assert.deepEqual(strokes.bounds(100, 100), [7, 7, 23, 13]);
  assert.deepEqual(strokes.bounds(15, 9), [7, 7, 15, 9]);
});

test("strokes outside the picture have no bounds and no boxes", () => {
  const strokes = new Strokes();
  strokes.add(line(3, [-50, -50]));
  strokes.add(area(200, 0, 300, 10));
  assert.equal(strokes.bounds(100, 100), null);
  assert.deepEqual(strokes.boxes(100, 100), []);
});

test("boxes are the areas alone", () => {
  const strokes = new Strokes();
  strokes.add(line(3, [5, 5]));
  strokes.add(area(10, 20, 29, 49));
  assert.deepEqual(strokes.boxes(100, 100), [[9, 19, 21, 31]]);
});
