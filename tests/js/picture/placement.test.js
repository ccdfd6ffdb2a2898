import assert from "node:assert/strict";
import { test } from "node:test";
import { Placement } from "../../../api/static/web/picture/placement.js";

const picture = { width: 1000, height: 500 };
const stage = { width: 532, height: 432 };

function fitted() {
  const placement = new Placement();
  placement.fit(picture, stage);
  return placement;
}

/**
 * @param {readonly number[]} actual
 * @param {readonly number[]} expected
 */
function assertNear(actual, expected) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) => assert.ok(Math.abs(value - Number(expected[index])) < 1e-9, `${actual.join()} is not ${expected.join()}`));
}

test("a fitted picture lies in the middle, with a margin", () => {
  const placement = fitted();
  assert.equal(placement.scale, 0.5);
  assertNear(placement.toStage([0, 0]), [16, 91]);
  assertNear(placement.toStage([1000, 500]), [516, 341]);
});

test("a small picture is enlarged to four times its size at most", () => {
  const placement = new Placement();
  placement.fit({ width: 10, height: 10 }, stage);
  assert.equal(placement.scale, 4);
});

test("stage and picture are each other's inverse", () => {
  const placement = fitted();
  placement.zoom(3, [100, 100], picture, stage);
  assertNear(placement.toPicture(placement.toStage([123, 45])), [123, 45]);
});

test("zooming keeps the point under the pointer in its place", () => {
  const placement = fitted();
  const before = placement.toPicture([200, 150]);
  placement.zoom(2.5, [200, 150], picture, stage);
  assert.equal(placement.scale, 1.25);
  assertNear(placement.toPicture([200, 150]), before);
  assert.equal(placement.fitted, false);
});

test("zoom ends at 32 times, and at half of the stage", () => {
  const placement = fitted();
  placement.zoom(1e6, [266, 216], picture, stage);
  assert.equal(placement.scale, 32);
  placement.zoom(1e-9, [266, 216], picture, stage);
  assert.equal(placement.scale, 0.266);
});

test("a part of the picture stays on the stage however far it is moved", () => {
  const placement = fitted();
  placement.pan(10_000, 10_000, picture, stage);
  assertNear(placement.toStage([0, 0]), [532 - 48, 432 - 48]);
  placement.pan(-10_000, -10_000, picture, stage);
  assertNear(placement.toStage([1000, 500]), [48, 48]);
});

test("revealing a point moves as little as is needed", () => {
  const placement = fitted();
  placement.zoom(4, [0, 0], picture, stage);
  placement.reveal([1000, 500], picture, stage);
  assertNear(placement.toStage([1000, 500]), [516, 416]);
  const place = placement.toStage([0, 0]);
  placement.reveal([900, 450], picture, stage);
  assertNear(placement.toStage([0, 0]), place);
});
