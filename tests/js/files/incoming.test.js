import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

const page = openPage('<div id="dropping" hidden></div>');
globalThis.addEventListener = page.addEventListener.bind(page);
const { onDrop } = await import("../../../api/static/web/files/incoming.js");
const { byId } = await import("../../../api/static/web/frame/dom.js");

/** @type {unknown[]} */
const taken = [];
onDrop(byId("dropping"), (transfer) => taken.push(transfer));

/**
 * Drag something over the page, or drop it; whether the page keeps it from the browser.
 * @param {string} name
 * @param {string} type
 */
function drag(name, type) {
  const event = Object.assign(new Event(name, { cancelable: true }), { dataTransfer: { types: [type] } });
  page.dispatchEvent(event);
  return event.defaultPrevented;
}

test("dragged files show where to drop them, until they leave or are dropped", () => {
  drag("dragenter", "Files");
  drag("dragenter", "Files");
  drag("dragleave", "Files");
  assert.equal(byId("dropping").hidden, false);
  assert.ok(drag("dragover", "Files"));
  assert.ok(drag("drop", "Files"));
  assert.deepEqual([byId("dropping").hidden, taken.length], [true, 1]);
});

test("dragged text stays the browser's: it may be dropped into a field", () => {
  drag("dragenter", "text/plain");
  assert.deepEqual([byId("dropping").hidden, drag("dragover", "text/plain"), drag("drop", "text/plain"), taken.length], [true, false, false, 1]);
});
