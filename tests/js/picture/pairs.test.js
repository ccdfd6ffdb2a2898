import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { pairOfImage, pairsOfSamples, samplePreviews } = await import("../../../api/static/web/picture/pairs.js");

/** @type {Parameters<typeof pairOfImage>[0]} */
const image = {
  id: "img_1", position: 0, name: "shirt.jpg", source_url: null, review: "unseen", review_note: null, replaced_by: null, state: "succeeded", width: 4000, height: 3000, tiles_done: 1, tiles_total: 1,
  error: null, record: { preview: { width: 320, height: 240 } }, result_url: "/v1/images/img_1/result", preview_url: "/v1/images/img_1/preview",
  finished_at: "2026-01-01T00:00:00Z",
};

test("an image has a pair once it has a preview", () => {
  assert.equal(pairOfImage({ ...image, preview_url: null }), null);
  assert.equal(pairOfImage({ ...image, width: null }), null);
  assert.equal(pairOfImage(image)?.download, "/v1/images/img_1/result");
});

test("the facts are the size and the texts that were taken off", () => {
  assert.equal(pairOfImage(image)?.facts, "4,000 × 3,000 pixels");
  const record = { ...image.record, texts: ["© Doe", "Doe Shirts"] };
  assert.equal(pairOfImage({ ...image, record })?.facts, "4,000 × 3,000 pixels, taken off: © Doe · Doe Shirts");
});

test("an image that was fetched from elsewhere has its preview alone", () => {
  assert.notEqual(pairOfImage(image)?.openWhole, null);
  assert.equal(pairOfImage({ ...image, source_url: "https://shop.example/shirt.jpg" })?.openWhole, null);
});

test("samples come in their order; one without its other half is left out", () => {
  const previews = { mask: "/m", "before-2": "/b2", "after-2": "/a2", "before-1": "/b1", "after-1": "/a1", "before-3": "/b3" };
  assert.deepEqual(samplePreviews(previews), [["/b1", "/a1"], ["/b2", "/a2"]]);
  assert.deepEqual(pairsOfSamples({ id: "tpl_1", previews }).map(({ key, name }) => [key, name]), [["tpl_1 1", "Sample 1"], ["tpl_1 2", "Sample 2"]]);
});
