import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

const { localStorage } = openPage(`<div id="bench" data-large-network="big-lama" data-large-label="Large: slower" data-large-title="Large"></div>
  <div id="networks" hidden><select id="network"><option value="" data-title="Small">Small: quick</option></select></div>`);
Object.defineProperty(globalThis, "localStorage", { value: localStorage, configurable: true });
const { NetworkChoice } = await import("../../../api/static/web/parts/networks.js");
const { stateText } = await import("../../../api/static/web/parts/large.js");

test("a network that arrives can be chosen, once, and compared with", () => {
  const choice = new NetworkChoice();
  assert.deepEqual([choice.areSeveral, choice.other("")], [false, ""]);
  choice.addLarge();
  choice.addLarge();
  assert.equal(document.querySelectorAll("option").length, 2);
  assert.equal(document.getElementById("networks")?.hidden, false);
  assert.deepEqual([choice.areSeveral, choice.other(""), choice.other("big-lama")], [true, "big-lama", ""]);
  assert.deepEqual([choice.title(""), choice.title("big-lama"), choice.title("gone")], ["Small", "Large", "gone"]);
  const select = /** @type {HTMLSelectElement} */ (document.getElementById("network"));
  select.value = "big-lama";
  select.dispatchEvent(new Event("change"));
  assert.equal(new NetworkChoice().name, "big-lama");
  assert.equal(choice.other("a network that is gone"), "big-lama");
});

test("the state of a download is a sentence, and a failure says what to do", () => {
  assert.equal(stateText({ stage: "fetching", arrived: 5e6, total: 2e8 }), "5 MB of 200 MB");
  assert.equal(stateText({ stage: "fetching", arrived: 5e6, total: null }), "5 MB");
  assert.match(stateText({ stage: "stopped", arrived: 5e6, total: 2e8 }), /^Stopped: 5 MB of 200 MB\. What has arrived is kept\.$/);
  assert.match(stateText({ stage: "failed", code: "disk_full", folder: "/home/weights" }), /make room at \/home\/weights/);
  assert.match(stateText({ stage: "failed", code: "download_unreachable" }), /internet.*cleanplate weights convert big-lama\.pt/);
  assert.equal(stateText({ stage: "failed", code: "brand_new", detail: "It broke." }), "It broke.");
  assert.equal(stateText({ stage: "absent" }), "");
});
