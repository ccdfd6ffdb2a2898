import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { doneText, endedOf, leftText, paceText, secondsBetween, showBar, showState, stateOf } = await import("../../../api/static/web/words/states.js");

const counts = { queued: 4, running: 1, succeeded: 2, skipped: 1, failed: 1, canceled: 1 };
/** @type {Parameters<typeof leftText>[0] & { total: number }} */
const job = { state: "running", paused: false, finished_at: null, counts, total: 10, queue_position: null, eta_s: 30 };
const untouched = { ...counts, queued: 10, running: 0, succeeded: 0, skipped: 0, failed: 0, canceled: 0 };

test("ended images are those that succeeded, were skipped, failed or were canceled", () => {
  assert.equal(endedOf(job), 5);
  assert.equal(doneText(job), "5 of 10");
});

test("a paused job is paused until it has ended", () => {
  assert.equal(stateOf({ ...job, paused: true }), "paused");
  assert.equal(stateOf({ ...job, paused: true, state: "completed", finished_at: "2026-01-01T00:00:00Z" }), "completed");
});

test("the pace is told per second, minute or hour", () => {
  assert.equal(paceText({ images_per_second: null }), "");
  assert.equal(paceText({ images_per_second: 12.4 }), "12 a second");
  assert.equal(paceText({ images_per_second: 1.25 }), "1.3 a second");
  assert.equal(paceText({ images_per_second: 0.05 }), "3 a minute");
  assert.equal(paceText({ images_per_second: 0.01 }), "36 an hour");
});

test("a job tells its place in the queue, then the time left", () => {
  assert.equal(leftText({ ...job, counts: untouched, queue_position: 1 }), "next in line");
  assert.equal(leftText({ ...job, counts: untouched, queue_position: 3 }), "number 3 in line");
  assert.equal(leftText(job), "30 seconds left");
  assert.equal(leftText({ ...job, eta_s: null }), "beginning");
});

test("a job that stands still tells why", () => {
  assert.equal(leftText({ ...job, paused: true }), "paused");
  assert.equal(leftText({ ...job, state: "needs_review" }), "waits for you");
  assert.equal(leftText({ ...job, state: "estimating" }), "");
  assert.equal(leftText({ ...job, finished_at: "2026-01-01T00:00:00Z" }), "");
});

test("a state's badge is kept and changes in place", () => {
  const place = document.createElement("div");
  showState(place, "queued");
  const badge = place.firstElementChild;
  showState(place, "succeeded");
  assert.equal(place.firstElementChild, badge);
  assert.equal(badge?.className, "state state-succeeded");
  assert.equal(place.textContent, "succeeded");
});

test("the bar has a segment for each state of images, by its share, and tells it to screen readers", () => {
  const place = document.createElement("div");
  showBar(place, job);
  const widths = [...place.querySelectorAll("span")].map((segment) => segment.style.width);
  assert.deepEqual(widths, ["20%", "10%", "10%", "10%", "10%"]);
  const bar = place.firstElementChild;
  assert.equal(bar?.getAttribute("aria-valuenow"), "5");
  assert.equal(bar.getAttribute("aria-valuetext"), "5 of 10");
  showBar(place, { total: 0, counts: untouched });
  assert.equal(place.children.length, 1);
});

test("seconds between two times are never negative", () => {
  assert.equal(secondsBetween("2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"), 90);
  assert.equal(secondsBetween("2026-01-01T00:01:30Z", "2026-01-01T00:00:00Z"), 0);
  assert.ok(secondsBetween("2026-01-01T00:00:00Z", null) > 0);
});
