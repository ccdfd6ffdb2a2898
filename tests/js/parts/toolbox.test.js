import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage(`<div id="tools">
  <button data-tool="brush"><i>B</i></button><button data-tool="eraser" hidden>E</button><button data-tool="hand">H</button></div>`);
const { markTool, onToolChoice } = await import("../../../api/static/web/parts/toolbox.js");
const { byId, query } = await import("../../../api/static/web/frame/dom.js");

const box = byId("tools");
/** @type {string[]} */
const chosen = [];
onToolChoice(box, ["brush", "eraser", "hand"], (tool) => chosen.push(tool));

/** @param {string} key */
function press(key) {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  (document.activeElement ?? box).dispatchEvent(event);
  return event.defaultPrevented;
}

test("a click anywhere on a button chooses its tool, beside the buttons none", () => {
  query(box, "i").click();
  box.click();
  assert.deepEqual(chosen.splice(0), ["brush"]);
});

test("arrow keys go round the visible tools, and other keys are left alone", () => {
  query(box, '[data-tool="brush"]').focus();
  assert.deepEqual([press("ArrowRight"), press("ArrowDown"), press("ArrowLeft"), press("x")], [true, true, true, false]);
  assert.deepEqual(chosen.splice(0), ["hand", "brush", "hand"]);
});

test("the chosen tool alone is in reach of the Tab key, also while it is not active", () => {
  markTool(box, "hand", { active: false });
  const state = [...box.querySelectorAll("button")].map((button) => [button.getAttribute("aria-checked"), button.tabIndex]);
  assert.deepEqual(state, [["false", -1], ["false", -1], ["false", 0]]);
  markTool(box, "hand");
  assert.equal(query(box, '[data-tool="hand"]').getAttribute("aria-checked"), "true");
});
