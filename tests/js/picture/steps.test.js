import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage('<ol id="steps"></ol>');
const { Steps } = await import("../../../api/static/web/picture/steps.js");
const { byId } = await import("../../../api/static/web/frame/dom.js");

/** @import { Picture } from "../../../api/static/web/picture/picture.js" */

/** @param {string} name */
function step(name) {
  let closed = false;
  const preview = /** @type {ImageBitmap} */ ({ width: 10, height: 10, close: () => (closed = true) });
  /** @type {Picture} */
  const picture = { name, blob: new Blob(), width: 10, height: 10, preview, scale: 1 };
  return { picture, isClosed: () => closed };
}

const buttons = () => [...byId("steps").querySelectorAll("button")];
const marked = () => buttons().map((button) => button.getAttribute("aria-current"));

test("each new step becomes the current one, and a click returns to an earlier one", () => {
  /** @type {string[]} */
  const chosen = [];
  const steps = new Steps(byId("steps"), ({ picture }) => chosen.push(picture.name));
  assert.deepEqual([steps.current, steps.original, steps.count], [undefined, undefined, 0]);
  const [original, clean] = [step("original"), step("clean")];
  steps.begin(original);
  steps.add(clean);
  assert.equal(steps.current, clean);
  assert.deepEqual(buttons().map(({ textContent }) => textContent), ["Original", "Step 1"]);
  assert.deepEqual(marked(), [null, "step"]);
  buttons()[0]?.click();
  assert.equal(steps.current, original);
  assert.deepEqual(marked(), ["step", null]);
  assert.deepEqual(chosen, ["original", "clean", "original"]);
});

test("another original closes the previews of the steps before", () => {
  const steps = new Steps(byId("steps"), () => {});
  const [first, second] = [step("first"), step("second")];
  steps.begin(first);
  steps.begin(second);
  assert.deepEqual([first.isClosed(), second.isClosed()], [true, false]);
  assert.deepEqual([steps.original, steps.count, buttons().length], [second, 1, 1]);
});
