import assert from "node:assert/strict";
import { test } from "node:test";
import { selectAt, selectUnder } from "../../../api/static/web/picture/selecting.js";

const [WIDTH, HEIGHT] = [80, 40];

/**
 * A picture with a soft gradient behind, and a mark where `isMark` says so.
 * @param {(x: number, y: number) => boolean} isMark
 */
function picture(isMark) {
  const pixels = new Uint8ClampedArray(4 * WIDTH * HEIGHT);
  const truth = new Uint8Array(WIDTH * HEIGHT);
  for (let place = 0; place < truth.length; place += 1) {
    const [x, y] = [place % WIDTH, Math.floor(place / WIDTH)];
    truth[place] = Number(isMark(x, y));
    pixels.set(truth[place] ? [30, 60, 200, 255] : [150 + x, 150 + y, 180, 255], 4 * place);
  }
  return { image: { pixels, width: WIDTH, height: HEIGHT }, truth };
}

const letters = (/** @type {number} */ x, /** @type {number} */ y) => y >= 15 && y < 25 && x >= 20 && x < 56 && x % 12 >= 4;

test("a click on a letter takes the word", () => {
  const { image, truth } = picture(letters);
  assert.deepEqual(selectAt(image, 30, 20), truth);
});

test("a click on what does not stand out takes nothing", () => {
  const { image } = picture(() => false);
  assert.equal(selectAt(image, 30, 20).some(Boolean), false);
});

test("a rough stroke takes the mark under it, and nothing of what is around it", () => {
  const { image, truth } = picture(letters);
  const stroke = Uint8Array.from(truth, (_, place) => Number(Math.abs(Math.floor(place / WIDTH) - 20) < 12 && place % WIDTH > 12 && place % WIDTH < 64));
  assert.deepEqual(selectUnder(image, stroke), truth);
});

test("a stroke over half of the word takes this half", () => {
  const { image, truth } = picture(letters);
  const stroke = truth.map((_, place) => Number(place % WIDTH < 38));
  assert.deepEqual(selectUnder(image, stroke), truth.map((marked, place) => Number(marked && place % WIDTH < 38)));
});
