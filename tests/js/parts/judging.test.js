import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openPage } from "../page.js";
import { startService } from "../service.js";

openPage();
const { Verdicts, alike } = await import("../../../api/static/web/parts/verdicts.js");
const { bodyOf } = await import("../../../api/static/web/parts/again.js");
const { directionOf } = await import("../../../api/static/web/picture/swipes.js");

/** @import { Choice } from "../../../api/static/web/parts/again.js" */
/** @import { Image, ReviewWord } from "../../../api/static/web/net/answers.js" */

/** Answers of the service, in turn; then 200. @type {number[]} */
const statuses = [];
const service = await startService(() => {
  const status = statuses.shift() ?? 200;
  return { status, json: status === 200 ? { changed: 1 } : { code: "not_found", title: "Not found", detail: "Gone.", status } };
});
after(() => { service.close(); });

/** @param {string} id */
function imageOf(id) {
  return /** @type {Image} */ (/** @type {unknown} */ ({ id, review: "unseen", review_note: null }));
}

/** @param {(verdicts: InstanceType<typeof Verdicts>) => void} act */
async function whenSent(act) {
  service.requests.length = 0;
  /** @type {unknown[]} */
  const errors = [];
  let tell = () => {};
  const verdicts = new Verdicts("/v1/jobs/job_1", { unseen: 3, kept: 0, rejected: 0 }, {
    onChange: () => { tell(); }, onError: (error) => errors.push(error),
  });
  act(verdicts);
  while (!verdicts.isSent) await new Promise((resolve) => (tell = () => { resolve(undefined); }));
  const bodies = service.requests.map(({ body }) => /** @type {unknown} */ (JSON.parse(body)));
  return { verdicts, errors, bodies };
}

test("verdicts are shown at once and sent in their order, those alike together", async () => {
  const [a, b, c] = [imageOf("a"), imageOf("b"), imageOf("c")];
  const { verdicts, bodies } = await whenSent((judging) => {
    judging.judge([a], "kept");
    judging.judge([b], "kept");
    judging.judge([c], "rejected");
    judging.undo();
    assert.deepEqual([a, b, c].map(({ review }) => review), ["kept", "kept", "unseen"]);
  });
  assert.deepEqual(verdicts.counts, { unseen: 1, kept: 2, rejected: 0 });
  assert.deepEqual(bodies, [
    { images: ["a"], review: "kept", note: null },
    { images: ["b"], review: "kept", note: null },
    { images: ["c"], review: "rejected", note: null },
    { images: ["c"], review: "unseen", note: null },
  ]);
});

test("what the service refuses is taken back, and cannot be undone", async () => {
  const a = imageOf("a");
  statuses.push(404);
  const { verdicts, errors } = await whenSent((judging) => { judging.judge([a], "rejected"); });
  assert.deepEqual([a.review, verdicts.counts.unseen, verdicts.canUndo, errors.length], ["unseen", 3, false, 1]);
});

test("a note stays with each later verdict", async () => {
  const a = imageOf("a");
  const { bodies } = await whenSent((judging) => {
    judging.note(a, "The collar.");
    judging.judge([a], "rejected");
  });
  assert.deepEqual(bodies.at(-1), { images: ["a"], review: "rejected", note: "The collar." });
});

test("one request has one verdict and names an image once", () => {
  const change = (/** @type {string} */ id, /** @type {ReviewWord} */ review) => ({
    image: imageOf(id), from: imageOf(id), to: { review, review_note: null },
  });
  assert.equal(alike([change("a", "kept"), change("b", "kept"), change("c", "rejected")]), 2);
  assert.equal(alike([change("a", "kept"), change("a", "kept")]), 1);
});

test("the request to do rejected results again names what differs alone", () => {
  /** @type {Omit<Choice, "way">} */
  const choice = { templates: ["tpl_1"], upload: "upl_1", images: ["img_1"], method: "", model: "" };
  assert.deepEqual(bodyOf({ ...choice, way: "same" }), { review: "rejected" });
  assert.deepEqual(bodyOf({ ...choice, way: "template" }), { review: "rejected", mask: { templates: ["tpl_1"] } });
  assert.deepEqual(bodyOf({ ...choice, way: "paint" }), { images: ["img_1"], mask: { upload_id: "upl_1" } });
  const changed = bodyOf({ ...choice, way: "file", method: "fill", model: "lama" });
  assert.deepEqual(changed, { review: "rejected", mask: { upload_id: "upl_1" }, options: { method: "fill", model: "lama" } });
});

test("a swipe is quick, long and straight", () => {
  assert.equal(directionOf(100, 10, 200), "right");
  assert.equal(directionOf(-100, 10, 200), "left");
  assert.equal(directionOf(5, -100, 200), "up");
  assert.equal(directionOf(5, 100, 200), "down");
  assert.deepEqual([directionOf(100, 90, 200), directionOf(100, 0, 900), directionOf(20, 0, 100)], [null, null, null]);
});
