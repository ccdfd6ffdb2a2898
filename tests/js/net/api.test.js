import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { openPage } from "../page.js";
import { startService } from "../service.js";

openPage();
const { Problem, callApi, callPatiently, delay, latestOnly, problemOfAnswer, untilAborted } = await import("../../../api/static/web/net/api.js");

/** @import { Received, Reply } from "../service.js" */
/** @type {(request: Received) => Reply | null} */
let reply = () => ({ json: {} });
const service = await startService((request) => reply(request));
after(() => service.close());
beforeEach(() => {
  service.requests.length = 0;
});

const BUSY = { status: 503, json: { code: "ledger_unavailable", title: "Away", detail: "Soon.", status: 503 } };

/**
 * The Problem that a promise rejects with.
 * @param {Promise<unknown>} promise
 */
async function problemOf(promise) {
  const error = await promise.then(() => null, (/** @type {unknown} */ reason) => reason);
  assert.ok(error instanceof Problem);
  return error;
}

/** A promise, and the function that settles it. */
function deferred() {
  /** @type {((value: string) => void)[]} */
  const resolvers = [];
  const promise = /** @type {Promise<string>} */ (new Promise((resolve) => resolvers.push(resolve)));
  return { promise, resolve: (/** @type {string} */ value) => resolvers.forEach((resolve) => resolve(value)) };
}

test("an answer is parsed; an empty one is null", async () => {
  reply = ({ method }) => (method === "DELETE" ? { status: 204 } : { json: { id: "job_1" } });
  assert.deepEqual(await callApi("GET", "/v1/jobs/job_1"), { id: "job_1" });
  assert.equal(await callApi("DELETE", "/v1/jobs/job_1"), null);
});

test("requests that change something carry the page's token, and their body as JSON", async () => {
  reply = () => ({ json: {} });
  await callApi("GET", "/v1/jobs");
  await callApi("POST", "/v1/jobs", { body: { images: [] }, headers: { "Idempotency-Key": "k" } });
  const [get, post] = service.requests;
  assert.equal(get?.headers["x-csrf-token"], undefined);
  assert.equal(post?.headers["x-csrf-token"], "first-token");
  assert.equal(post.headers["content-type"], "application/json");
  assert.equal(post.headers["idempotency-key"], "k");
  assert.equal(post.body, '{"images":[]}');
});

test("an error of the API becomes a Problem with its faults", async () => {
  const errors = [{ pointer: "#/images/0", line: null, detail: "No." }];
  reply = () => ({ status: 422, json: { code: "validation_failed", title: "Invalid", detail: "Look at the faults.", errors } });
  const problem = await problemOf(callApi("POST", "/v1/jobs", { body: {} }));
  assert.deepEqual([problem.code, problem.status, problem.message, problem.errors], ["validation_failed", 422, "Look at the faults.", errors]);
  assert.equal(problem.isTransient, false);
});

test("JSON that is no problem of the API becomes an unexpected answer, with the status of the answer", async () => {
  for (const json of [{ message: "Service Unavailable" }, null, "away", ["away"], { code: 7, title: "x", detail: "y" }]) {
    reply = () => ({ status: 503, json });
    const problem = await problemOf(callApi("GET", "/v1/jobs"));
    assert.deepEqual([problem.code, problem.status, problem.title], ["unexpected", 503, "An unexpected answer"]);
    assert.ok(problem.isTransient);
  }
  assert.equal(problemOfAnswer(502, "<h1>Bad Gateway</h1>").status, 502);
});

test("a success that is no JSON becomes an unexpected answer", async () => {
  reply = () => ({ text: "<h1>Sign in to the network</h1>", type: "text/html" });
  assert.equal((await problemOf(callApi("GET", "/v1/jobs"))).code, "unexpected");
});

test("a broken connection is unreachable, which passes", async () => {
  reply = () => null;
  const problem = await problemOf(callApi("GET", "/v1/jobs"));
  assert.deepEqual([problem.code, problem.isTransient], ["unreachable", true]);
});

test("an outdated token is renewed once, and the request repeated", async () => {
  reply = ({ path, headers }) => {
    if (path === "/session") return { json: { token: "second-token" } };
    if (headers["x-csrf-token"] === "second-token") return { json: { id: "job_1" } };
    return { status: 403, json: { code: "forgery_suspected", title: "T", detail: "D" } };
  };
  assert.deepEqual(await callApi("POST", "/v1/jobs", { body: {} }), { id: "job_1" });
  assert.deepEqual(service.requests.map(({ path }) => path), ["/v1/jobs", "/session", "/v1/jobs"]);
});

test("a request that is refused after the renewal fails", async () => {
  reply = ({ path }) => (path === "/session" ? { json: { token: "x" } } : { status: 401, json: { code: "key_missing", title: "T", detail: "D" } });
  assert.equal((await problemOf(callApi("GET", "/v1/jobs"))).code, "key_missing");
  assert.equal(service.requests.length, 3);
});

test("a patient call waits while the service is away, and tells it once", async () => {
  let times = 0;
  reply = () => ((times += 1) < 3 ? BUSY : { json: { id: "job_1" } });
  /** @type {boolean[]} */
  const waits = [];
  assert.deepEqual(await callPatiently("GET", "/v1/jobs/job_1", { onWait: (waiting) => waits.push(waiting) }), { id: "job_1" });
  assert.deepEqual(waits, [true, false]);
});

test("a patient call does not repeat what will fail again", async () => {
  reply = () => ({ status: 404, json: { code: "not_found", title: "T", detail: "D" } });
  assert.equal((await problemOf(callPatiently("GET", "/v1/jobs/job_1"))).code, "not_found");
  assert.equal(service.requests.length, 1);
});

test("an abort ends a patient call while it waits", async () => {
  reply = () => BUSY;
  const controller = new AbortController();
  const call = callPatiently("GET", "/v1/jobs", { signal: controller.signal, onWait: () => controller.abort() });
  await assert.rejects(call, { name: "AbortError" });
});

test("an abort ends the waiting for a promise, not the promise", async () => {
  const controller = new AbortController();
  const { promise, resolve } = deferred();
  const waiting = untilAborted(promise, controller.signal);
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  resolve("there");
  assert.equal(await untilAborted(promise), "there");
  await assert.rejects(untilAborted(promise, controller.signal), { name: "AbortError" });
});

test("an abort ends a delay, and an aborted signal begins none", async () => {
  const controller = new AbortController();
  const waiting = delay(60_000, controller.signal);
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await assert.rejects(delay(60_000, controller.signal), { name: "AbortError" });
});

test("an answer that is overtaken by a later question's is dropped", async () => {
  const latest = latestOnly();
  const { promise, resolve } = deferred();
  const first = latest(promise);
  assert.equal(await latest(Promise.resolve("second")), "second");
  resolve("first");
  assert.equal(await first, undefined);
  assert.equal(await latest(Promise.resolve("third")), "third");
});
