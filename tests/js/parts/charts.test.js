import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage('<div id="place"></div>');
const { drawChart, runsOf, scaleOf } = await import("../../../api/static/web/parts/charts.js");
const { byId } = await import("../../../api/static/web/frame/dom.js");

test("a scale has even steps and reaches over the most", () => {
  assert.deepEqual(scaleOf(0), { top: 1, steps: [0, 0.5, 1] });
  assert.deepEqual(scaleOf(7), { top: 10, steps: [0, 5, 10] });
  assert.deepEqual(scaleOf(1669), { top: 2000, steps: [0, 1000, 2000] });
  for (const most of [1, 3, 12, 99, 100, 101, 12_345, 1e6]) {
    const { top, steps } = scaleOf(most);
    assert.ok(top >= most && top < 4 * Math.max(most, 1) && steps.at(-1) === top && steps.length <= 4, `${most}: ${top}`);
  }
});

test("a step that nobody counted is a gap", () => {
  assert.deepEqual(runsOf([1, null, 2, 3, null]), [[[0, 1]], [[2, 2], [3, 3]]]);
  const place = byId("place");
  drawChart(place, { since: "2026-05-01T12:00:00Z", step_s: 60, values: [1, 4, null, 2, 3, null, 7] }, "Pictures: last 7");
  assert.equal(place.querySelectorAll(".chart-line").length, 2);
  assert.equal(place.querySelectorAll(".chart-dot").length, 1);
  const svg = place.querySelector("svg");
  assert.equal(svg?.getAttribute("role"), "img");
  assert.equal(svg.getAttribute("aria-label"), "Pictures: last 7");
});

test("the axes are labelled with figures and times", () => {
  const place = byId("place");
  drawChart(place, { since: "2026-05-01T12:00:00Z", step_s: 60, values: Array.from({ length: 60 }, () => 30) }, "Pictures");
  const labels = [...place.querySelectorAll("text")].map(({ textContent }) => textContent);
  assert.ok(labels.includes("30") || labels.includes("40"), labels.join());
  assert.ok(labels.filter((label) => /^\d\d:\d\d$/.test(label)).length >= 2, labels.join());
});

test("a service that has just begun has an empty chart", () => {
  const place = byId("place");
  drawChart(place, { since: "2026-05-01T12:00:00Z", step_s: 60, values: [null, null] }, "Nothing yet");
  assert.equal(place.querySelectorAll(".chart-line, .chart-dot").length, 0);
});
