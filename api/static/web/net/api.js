// The /v1 API as pages call it: with the session's token, a problem as an exception, and patience with a service that
// is away for a moment.

import { t } from "../words/texts.js";

/** What stands before each path of the service: empty, or the path of a host below which it is served. */
const BELOW = document.documentElement.dataset.below ?? "";

const WAITS_MS = [300, 700, 1500, 3000, 5000];
let token = document.querySelector('meta[name="csrf-token"]').content;

/** An error of the API (RFC 9457): `code`, `title`, `detail`, `status`, `errors`; `code` is "unreachable" where nobody answered. */
export class Problem extends Error {
  constructor({ code, title, detail, status = 0, errors = [] }) {
    super(detail);
    Object.assign(this, { code, title, detail, status, errors });
  }

  /** Whether the same request may succeed shortly. */
  get passing() {
    return this.code === "unreachable" || this.status === 503 || this.status === 429 || this.code === "idempotency_key_busy";
  }
}

/** A path of the service as this page asks for it; an address of elsewhere stays as it is. */
export function below(path) {
  return path.startsWith("/") ? BELOW + path : path;
}

/** The parsed answer of one request. Throws Problem, or AbortError. */
export async function call(method, path, { body, headers = {}, signal } = {}, again = true) {
  const sent = { ...headers };
  if (method !== "GET") sent["X-CSRF-Token"] = token;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await reached(path, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (answer.ok) return answer.status === 204 ? null : JSON.parse(await answer.body.text());
  const problem = problemOf(answer.status, await answer.body.text());
  if (again && (problem.status === 401 || problem.code === "forgery_suspected")) {
    token = (await call("GET", "/session", { signal }, false)).token;
    return call(method, path, { body, headers, signal }, false);
  }
  throw problem;
}

/**
 * The same, repeated while the service is away. Only for what may be repeated: GET, or a POST with an Idempotency-Key.
 * `onWait(true)` when it has to wait for the first time, `onWait(false)` when it goes on.
 */
export async function persist(method, path, options = {}) {
  const { onWait = () => {}, ...rest } = options;
  return patiently(() => call(method, path, rest), { onWait, signal: options.signal });
}

/** The result of `attempt`, which is repeated while it throws a passing Problem. */
export async function patiently(attempt, { onWait = () => {}, signal } = {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      const value = await attempt();
      if (tries) onWait(false);
      return value;
    } catch (error) {
      if (!(error instanceof Problem) || !error.passing) throw error;
      if (tries === 0) onWait(true);
      await pause(WAITS_MS[Math.min(tries, WAITS_MS.length - 1)], signal);
    }
  }
}

/** The bytes at a path of this service, as a Blob. Throws Problem. */
export async function fetchBlob(path, signal) {
  const answer = await reached(path, { signal });
  if (!answer.ok) throw problemOf(answer.status, await answer.body.text());
  return answer.body;
}

/**
 * What the service shows of a picture that the browser cannot show itself: `{blob, width, height}`, the size being the
 * picture's own. Throws Problem.
 */
export async function fetchView(path, signal) {
  const answer = await reached(path, { signal });
  if (!answer.ok) throw problemOf(answer.status, await answer.body.text());
  const [width, height] = ["Width", "Height"].map((side) => Number(answer.headers.get(`Cleanplate-${side}`)));
  return { blob: answer.body, width, height };
}

/** The value of a promise; AbortError as soon as `signal` ends the waiting for it, and the promise goes on by itself. */
export function awaited(promise, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const left = () => reject(signal.reason);
    signal?.addEventListener("abort", left, { once: true });
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", left));
  });
}

/**
 * A function that waits for the answers of questions to the same thing: an answer that comes after the one of a later
 * question is old, and told as undefined.
 */
export function newest() {
  let asked = 0;
  let told = 0;
  return async (answer) => {
    const mine = (asked += 1);
    const value = await answer;
    if (mine < told) return undefined;
    told = mine;
    return value;
  };
}

/** A wait that ends early with AbortError. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const left = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", left);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", left, { once: true });
  });
}

/** The Problem of nobody answering. */
export function unreachable() {
  return new Problem({
    code: "unreachable",
    title: t("The service does not answer"),
    detail: t("It may be starting again, or the network is down."),
  });
}

/** The Problem of an answer that is an error, whoever gave it. */
export function problemOf(status, text) {
  try {
    return new Problem(JSON.parse(text));
  } catch {
    return new Problem({
      code: "unexpected",
      title: t("An unexpected answer"),
      detail: t("The service answered with the status {status}.", { status }),
      status,
    });
  }
}

/** An answer with its whole body, a Blob: it can break off in the body as well as before it. */
async function reached(path, options) {
  try {
    const answer = await fetch(below(path), options);
    return { ok: answer.ok, status: answer.status, headers: answer.headers, body: await answer.blob() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
}
