import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { cutOut } = await import("../../../api/static/web/picture/logo.js");
const { Unusable } = await import("../../../api/static/web/files/unusable.js");

const SIZE = { width: 12, height: 8 };

/**
 * @param {(x: number, y: number) => number[]} colour
 */
function pixelsOf(colour) {
  const pixels = new Uint8ClampedArray(4 * SIZE.width * SIZE.height);
  for (let y = 0; y < SIZE.height; y += 1) {
    for (let x = 0; x < SIZE.width; x += 1) pixels.set([...colour(x, y), 255], 4 * (y * SIZE.width + x));
  }
  return pixels;
}

test("a logo on a plain ground is cut out of it, its soft edge with it", () => {
  const pixels = pixelsOf((x, y) => (y < 2 || y > 5 || x < 4 || x > 7 ? [255, 255, 255] : x === 4 ? [228, 142, 142] : [200, 30, 30]));
  cutOut(pixels, SIZE);
  const alphaAt = (/** @type {number} */ x) => Number(pixels[4 * (3 * SIZE.width + x) + 3]);
  assert.equal(alphaAt(0), 0);
  assert.equal(alphaAt(6), 255);
  assert.ok(alphaAt(4) > 100 && alphaAt(4) < 255);
});

test("a picture without one ground, or with nothing on it, is refused", () => {
  const noise = pixelsOf((x, y) => [(x * 53) % 256, (y * 91) % 256, (x * y * 37) % 256]);
  assert.throws(() => { cutOut(noise, SIZE); }, Unusable);
  assert.throws(() => { cutOut(pixelsOf(() => [255, 255, 255]), SIZE); }, Unusable);
});
