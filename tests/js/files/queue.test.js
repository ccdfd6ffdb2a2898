import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { parseJson } from "../../../api/static/web/net/json.js";
import { openPage } from "../page.js";
import { startService } from "../service.js";

/** @import { CatalogueFile } from "../../../api/static/web/files/catalogue.js" */
/** @import { Received, Reply } from "../service.js" */

/** @typedef {{ filename: string, size: number }} Named */
/** @type {(file: Named) => string | null} The detail of a refusal, or null. */
let refuse = () => null;
/** @type {(request: Received) => Reply} */
let store = () => ({ status: 200, text: "" });
const service = await startService((request) => {
  if (request.path !== "/v1/uploads") return store(request);
  const { files } = /** @type {{ files: Named[] }} */ (parseJson(request.body));
  for (const [index, named] of files.entries()) {
    const detail = refuse(named);
    if (detail) return { status: 422, json: { code: "image_too_large", title: "Too large", detail, errors: [{ pointer: `#/files/${index}/size`, detail }] } };
  }
  const uploads = files.map(({ filename }) => ({ id: `upl_${filename}`, method: "PUT", url: `${service.url}/store/${filename}`, headers: {} }));
  return { json: { uploads } };
});
const page = openPage("", { url: service.url });
const { UploadMemory } = await import("../../../api/static/web/files/memory.js");
const { UploadQueue } = await import("../../../api/static/web/files/queue.js");
after(() => {
  service.close();
  page.close();
});
beforeEach(() => {
  service.requests.length = 0;
  refuse = () => null;
  store = () => ({ status: 200, text: "" });
});

/**
 * @param {string} path
 * @param {number} [size]
 * @returns {CatalogueFile}
 */
function file(path, size = 3) {
  return { path, size, modified: 1, open: () => Promise.resolve(new page.Blob(["x".repeat(size)])) };
}

/** A queue, and a promise of each of its ends: all files are sent or have failed. */
function newQueue() {
  const memory = new UploadMemory("shop", 1e9);
  /** @type {(() => void)[]} */
  const waiting = [];
  const isSettled = () => queue.files.every(({ id, error }) => id ?? error);
  const queue = new UploadQueue(memory, {
    onChange() {
      if (isSettled()) for (const resolve of waiting.splice(0)) resolve();
    },
    onWait() {},
  });
  const settled = () => isSettled() ? Promise.resolve() : /** @type {Promise<void>} */ (new Promise((resolve) => waiting.push(resolve)));
  return { queue, memory, settled };
}

const puts = () => service.requests.filter(({ method }) => method === "PUT").map(({ path }) => path.replace("/store/", ""));

test("all files are sent, each once, with one request for many links", async () => {
  const { queue, settled } = newQueue();
  queue.add(Array.from({ length: 12 }, (_, index) => file(`spring/${index}.jpg`)));
  await settled();
  assert.deepEqual(puts().sort(), queue.files.map(({ path }) => path.replace("spring/", "")).sort());
  assert.deepEqual(queue.files.map(({ id }) => id), queue.files.map(({ path }) => `upl_${path.replace("spring/", "")}`));
  assert.ok(service.requests.filter(({ path }) => path === "/v1/uploads").length < 12);
  const { complete, total, sent, failed } = queue.figures;
  assert.deepEqual([complete, total, sent, failed], [true, 36, 36, []]);
});

test("a path is queued once, and what was sent before is not sent again", async () => {
  const { queue, memory, settled } = newQueue();
  memory.remember({ path: "a.jpg", size: 3, modified: 1 }, "upl_before");
  queue.add([file("a.jpg"), file("b.jpg"), file("b.jpg")]);
  queue.add([file("b.jpg")]);
  await settled();
  assert.deepEqual(queue.files.map(({ id }) => id), ["upl_before", "upl_b.jpg"]);
  assert.deepEqual(puts(), ["b.jpg"]);
  assert.equal(memory.idOf({ path: "b.jpg", size: 3, modified: 1 }), "upl_b.jpg");
});

test("files that the service refuses fail alone, wherever they stand among the others", async () => {
  refuse = ({ size }) => (size === 0 ? "An empty file." : null);
  const { queue, settled } = newQueue();
  queue.add(Array.from({ length: 30 }, (_, index) => file(`${index}.jpg`, [0, 7, 8, 29].includes(index) ? 0 : 3)));
  await settled();
  assert.deepEqual(queue.figures.failed.map(({ path, error }) => [path, String(error)]), [
    ["0.jpg", "Problem: An empty file."], ["7.jpg", "Problem: An empty file."], ["8.jpg", "Problem: An empty file."], ["29.jpg", "Problem: An empty file."],
  ]);
  assert.equal(puts().length, 26);
  queue.resume();
  await settled();
  assert.equal(queue.figures.failed.length, 4);
  assert.equal(puts().length, 26);
});

test("an expired link is requested again, once", async () => {
  let times = 0;
  store = () => ({ status: (times += 1) === 1 ? 403 : 200, text: "" });
  const { queue, settled } = newQueue();
  queue.add([file("a.jpg")]);
  await settled();
  assert.equal(queue.files[0]?.id, "upl_a.jpg");
  store = () => ({ status: 403, text: "" });
  queue.add([file("b.jpg")]);
  await settled();
  assert.match(String(queue.files[1]?.error), /403/);
});

test("a paused queue sends nothing until it is resumed", async () => {
  const { queue, settled } = newQueue();
  queue.pause();
  queue.add([file("a.jpg")]);
  assert.equal(service.requests.length, 0);
  queue.resume();
  await settled();
  assert.deepEqual(puts(), ["a.jpg"]);
});

test("files that the service has forgotten are sent again", async () => {
  const { queue, memory, settled } = newQueue();
  queue.add([file("a.jpg")]);
  await settled();
  queue.renew();
  assert.equal(memory.count, 0);
  await settled();
  assert.deepEqual(puts(), ["a.jpg", "a.jpg"]);
});

test("a file that cannot be opened fails alone", async () => {
  const { queue, settled } = newQueue();
  queue.add([{ ...file("gone.jpg"), open: () => Promise.reject(new Error("The file is gone.")) }, file("b.jpg")]);
  await settled();
  assert.deepEqual(queue.files.map(({ error }) => error instanceof Error && error.message), ["The file is gone.", false]);
});
