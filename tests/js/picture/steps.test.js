import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage('<ol id="steps"></ol>');
const { StepList } = await import("../../../api/static/web/picture/steps.js");
const { Work } = await import("../../../api/static/web/picture/work.js");
const { BackgroundUpload } = await import("../../../api/static/web/net/repairing.js");
const { byId } = await import("../../../api/static/web/frame/dom.js");

/** @import { Picture } from "../../../api/static/web/picture/picture.js" */
/** @import { Shape } from "../../../api/static/web/picture/strokes.js" */

/** @param {string} name */
function picture(name) {
  let closed = false;
  const preview = /** @type {ImageBitmap} */ ({ width: 10, height: 10, close: () => (closed = true) });
  /** @type {Picture} */
  const opened = { name, blob: new Blob([name]), width: 100, height: 50, preview, scale: 0.1, view: null };
  return { opened, isClosed: () => closed };
}

/** @param {Picture} original */
function workOn(original) {
  return Work.begin(original, new BackgroundUpload(original, { later: true }));
}

/**
 * @param {number} x
 * @returns {Shape}
 */
function area(x) {
  return { kind: "area", points: [[x, 10], [x + 5, 10], [x + 5, 20]], erases: false };
}

const buttons = () => [...byId("steps").querySelectorAll("button")];
const marked = () => buttons().map((button) => button.getAttribute("aria-current"));

test("the current step is marked, and a click chooses another one", () => {
  /** @type {string[]} */
  const chosen = [];
  const work = workOn(picture("original").opened);
  work.add(picture("clean").opened, work.original);
  const list = new StepList(byId("steps"), (step) => chosen.push(step.picture.name));
  list.show(work.steps, work.current);
  assert.deepEqual(buttons().map(({ textContent }) => textContent), ["Original", "Step 1"]);
  assert.deepEqual(marked(), [null, "step"]);
  buttons()[0]?.click();
  assert.deepEqual(chosen, ["original"]);
  list.show(work.steps, work.original);
  assert.deepEqual(marked(), ["step", null]);
});

test("a step that was painted on an earlier one says on which", () => {
  const work = workOn(picture("original").opened);
  const first = work.add(picture("one").opened, work.original);
  work.add(picture("two").opened, first);
  work.add(picture("three").opened, work.original);
  work.add(picture("four").opened, first);
  new StepList(byId("steps"), () => {}).show(work.steps, work.current);
  assert.deepEqual(
    buttons().map(({ textContent }) => textContent),
    ["Original", "Step 1", "Step 2", "Step 3from “Original”", "Step 4from “Step 1”"],
  );
});

test("a work that is put aside closes the previews of its steps", () => {
  const [original, clean] = [picture("original"), picture("clean")];
  const work = workOn(original.opened);
  work.add(clean.opened, work.original);
  work.close();
  assert.deepEqual([original.isClosed(), clean.isClosed()], [true, true]);
});

test("a record has the paint of each step and the parent that it was painted on", () => {
  const work = workOn(picture("shirt.png").opened);
  work.original.strokes.add(area(10));
  const clean = work.add(picture("clean").opened, work.original);
  const record = structuredClone(work.record("tab"));
  assert.equal(record.name, "shirt.png");
  assert.equal(record.current, clean.id);
  assert.deepEqual(record.steps.map(({ parent }) => parent), [null, work.original.id]);
  assert.deepEqual(record.steps.map(({ strokes }) => strokes.done), [[area(10)], []]);
});

test("what is painted, or was repaired last, is what other pictures may take over", () => {
  const work = workOn(picture("shirt.png").opened);
  assert.equal(work.shapesToRepeat, null);
  assert.equal(work.isTouched, false);
  work.original.strokes.add(area(10));
  assert.deepEqual(work.shapesToRepeat, [area(10)]);
  work.add(picture("clean").opened, work.original);
  assert.deepEqual(work.shapesToRepeat, [area(10)]);
  const other = workOn(picture("trousers.png").opened);
  other.paint(work.original.strokes.shapes, work.original.picture);
  assert.deepEqual(other.current.strokes.shapes, [area(10)]);
  assert.ok(other.isTouched);
});
