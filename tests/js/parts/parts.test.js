import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { brushSize, resizedValue } = await import("../../../api/static/web/parts/brush.js");
const { nearestAnchor } = await import("../../../api/static/web/parts/marking.js");
const { missingText, textMask, textsOf } = await import("../../../api/static/web/parts/textmark.js");
const { factsOf, samplesOf, titleOf } = await import("../../../api/static/web/parts/templates.js");
const { isHeld } = await import("../../../api/static/web/parts/review.js");

test("the brush is a share of the picture's longer side, and a pixel at least", () => {
  assert.equal(brushSize(0, { width: 2000, height: 500 }), 4);
  assert.equal(Math.round(brushSize(100, { width: 500, height: 2000 })), 1200);
  assert.equal(brushSize(0, { width: 100, height: 100 }), 1);
});

test("the slider follows the wheel and keeps within its range", () => {
  assert.equal(resizedValue(50, 1), 50);
  assert.ok(resizedValue(50, 1.25) > 50);
  assert.equal(resizedValue(1, 1e-9), 0);
  assert.equal(resizedValue(99, 1e9), 100);
});

test("the nearest anchor is a corner, a side or the center", () => {
  const picture = { width: 300, height: 300 };
  assert.equal(nearestAnchor([0, 0, 20, 20], picture), "top_left");
  assert.equal(nearestAnchor([140, 0, 160, 20], picture), "top");
  assert.equal(nearestAnchor([280, 140, 300, 160], picture), "right");
  assert.equal(nearestAnchor([290, 290, 300, 300], picture), "bottom_right");
  assert.equal(nearestAnchor([0, 0, 300, 300], picture), "center");
});

test("a text mark needs words, a place, or neither where all text goes", () => {
  assert.match(String(missingText({ texts: [], area: "", all: false }, 0)), /what the mark says/);
  assert.equal(missingText({ texts: ["© Doe"], area: "", all: false }, 0), null);
  assert.equal(missingText({ texts: [], area: "bottom_right", all: false }, 0), null);
  assert.equal(missingText({ texts: ["©"], area: "", all: true }, 0), null);
});

test("a text mark tells what is too little and too much", () => {
  assert.match(String(missingText({ texts: ["©"], area: "", all: false }, 0)), /two letters/);
  assert.match(String(missingText({ texts: Array.from({ length: 21 }, () => "Doe"), area: "", all: false }, 0)), /20 at most/);
  assert.match(String(missingText({ texts: [], area: "drawn", all: false }, 0)), /a box on the sample/);
  assert.match(String(missingText({ texts: [], area: "drawn", all: false }, 9)), /8 at most/);
});

test("a text mark is sent as texts and areas; drawn boxes are shares of the sample", () => {
  const box = /** @type {[number, number, number, number]} */ ([10, 20, 30, 40]);
  assert.deepEqual(textMask({ texts: ["Doe"], area: "drawn", all: false }, [box], 100, 200), { mode: "text", texts: ["Doe"], areas: [[0.1, 0.1, 0.3, 0.2]] });
  assert.deepEqual(textMask({ texts: [], area: "top", all: false }, [box], 100, 200), { mode: "text", areas: ["top"] });
  assert.deepEqual(textMask({ texts: ["Doe"], area: "top", all: true }, [], 0, 0), { mode: "text", any_text: true });
});

test("texts are the lines of their field, without blanks", () => {
  assert.deepEqual(textsOf(" © Doe \n\n  Doe Shirts\n"), ["© Doe", "Doe Shirts"]);
});

/** @type {Parameters<typeof factsOf>[0]} */
const template = { kind: "estimate", samples: 24, quality: { opacity: 0.42 }, place: { anchor: "bottom-right" } };

test("a template's facts are its kind, its opacity and its place", () => {
  assert.equal(factsOf(template), "found in 24 pictures · 42 % opaque · at the lower right corner");
  assert.equal(factsOf({ ...template, kind: "logo", quality: null, place: { anchor: "middle-left" } }), "A logo · at the left edge");
  assert.equal(factsOf({ ...template, kind: "mask", quality: null, place: { anchor: "center" } }), "A mask: what it marks is filled · in the middle");
  assert.equal(factsOf({ ...template, quality: null, place: { lattice: {} } }), "found in 24 pictures · repeated over the whole picture");
  assert.equal(factsOf({ ...template, quality: null, place: null }), "found in 24 pictures");
  assert.equal(factsOf({ ...template, quality: null, place: { anchor: "constructor" } }), "found in 24 pictures");
});

test("a template is called by its name and version, or by its date where it was never named", () => {
  const named = { name: "Logo", version: 1, source_job_id: "job_1", created_at: "2026-01-02T03:04:05Z" };
  assert.equal(titleOf(named), "Logo");
  assert.equal(titleOf({ ...named, version: 3 }), "Logo, version 3");
  assert.match(titleOf({ ...named, name: "job_1" }), /^Mark found on .*2026/);
});

test("samples are pictures with the mark and without", () => {
  const samples = samplesOf({ previews: { "before-1": "/b1", "after-1": "/a1" } });
  assert.deepEqual(samples.map((pair) => pair.map((picture) => picture.getAttribute("src"))), [["/b1", "/a1"]]);
});

test("a job is held while its mark is searched or to be approved", () => {
  assert.deepEqual(["estimating", "needs_review", "queued"].map((state) => isHeld({ state: /** @type {"queued"} */ (state) })), [true, true, false]);
});
