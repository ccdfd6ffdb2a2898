import assert from "node:assert/strict";
import { test } from "node:test";
import { Strokes, fittedShapes, runsOf } from "../../../api/static/web/picture/strokes.js";

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

test("pixels have bounds, and are no boxes", () => {
  const strokes = new Strokes();
  strokes.add({ kind: "pixels", runs: Int32Array.of(10, 20, 5, 9, 21, 3), erases: false });
  assert.deepEqual(strokes.bounds(100, 100), [8, 19, 16, 23]);
  assert.deepEqual(strokes.boxes(100, 100), []);
});

test("strokes are the same after they were kept", () => {
  const strokes = new Strokes();
  strokes.add(area(0, 0, 2, 2));
  strokes.add({ kind: "pixels", runs: Int32Array.of(1, 2, 3), erases: true });
  strokes.add(area(4, 4, 6, 6));
  strokes.undo();
  const kept = Strokes.from(structuredClone(strokes.state));
  assert.deepEqual(kept.state, strokes.state);
  kept.redo();
  assert.equal(kept.shapes.length, 3);
  assert.equal(strokes.shapes.length, 2);
});

test("a mask fits a picture of the same size as it is", () => {
  const shapes = [line(3, [5, 5])];
  assert.equal(fittedShapes(shapes, { width: 100, height: 80 }, { width: 100, height: 80 }), shapes);
});

test("a mask in a corner stays in this corner of a larger picture of another shape", () => {
  const shapes = [line(4, [90, 70])];
  const fitted = fittedShapes(shapes, { width: 100, height: 80 }, { width: 300, height: 160 });
  assert.deepEqual(fitted, [line(8, [280, 140])]); // twice as large, 20 pixels from both ends
});

test("a mask in the middle stays there, and its pixels are enlarged", () => {
  const shapes = [/** @type {Shape} */ ({ kind: "pixels", runs: Int32Array.of(49, 49, 2, 49, 50, 2), erases: false })];
  const [fitted] = fittedShapes(shapes, { width: 100, height: 100 }, { width: 400, height: 200 });
  assert.deepEqual(fitted, { kind: "pixels", runs: Int32Array.of(198, 98, 4, 198, 99, 4, 198, 100, 4, 198, 101, 4), erases: false });
});

test("strokes that mark nothing fit as nothing", () => {
  assert.deepEqual(fittedShapes([area(0, 0, 9, 9, true)], { width: 10, height: 10 }, { width: 20, height: 20 }), []);
});

test("each run of marked values in a row is one entry", () => {
  const values = [255, 255, 0, 128, 127, 0, 0, 200];
  assert.deepEqual(runsOf(values, { width: 4, height: 2 }), [0, 0, 2, 3, 0, 1, 3, 1, 1]);
});

test("a channel of a band is read by its stride, at its place in the picture", () => {
  const pixels = [0, 0, 0, 255, 0, 0, 0, 0];
  assert.deepEqual(runsOf(pixels, { width: 2, height: 1 }, { stride: 4, offset: 3, top: 7 }), [0, 7, 1]);
});
