// The /v1 API for pages: the session's token, errors as exceptions, retries while the service is away.

import { isAbort } from "../frame/dom.js";
import { t } from "../words/texts.js";
import { below } from "./below.js";
import { parseJson } from "./json.js";

/** @import { Fault } from "./answers.js" */
/** @typedef {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal | undefined }} RequestOptions */
/** @typedef {{ onWait?: ((waiting: boolean) => void) | undefined, signal?: AbortSignal | undefined }} RetryOptions */
/** @typedef {{ code: string, title: string, detail: string, status?: number, errors?: Fault[] }} ProblemFields */

const WAITS_MS = [300, 700, 1500, 3000, 5000];
/** @type {string | null} */
let token = null;

/** An error of the API (RFC 9457). The code `unreachable` means that there was no answer, `unexpected` that it was not the API's. */
export class Problem extends Error {
  /** @param {ProblemFields} fields */
  constructor({ code, title, detail, status = 0, errors = [] }) {
    super(detail);
    this.name = "Problem";
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.status = status;
    this.errors = errors;
  }

  /** Whether the same request may succeed shortly. */
  get isTransient() {
    return this.code === "unreachable" || this.status === 503 || this.status === 429 || this.code === "idempotency_key_busy";
  }
}

/**
 * Whether an error is a transient Problem.
 * @param {unknown} error
 */
export function isTransient(error) {
  return error instanceof Problem && error.isTransient;
}

/**
 * Whether an error is the Problem with this code.
 * @param {unknown} error
 * @param {string} code
 */
export function hasCode(error, code) {
  return error instanceof Problem && error.code === code;
}

/**
 * The parsed answer of one request, null for an empty one. Throws Problem, or AbortError.
 * @param {string} method
 * @param {string} path
 * @param {RequestOptions} [options]
 * @returns {Promise<unknown>}
 */
export async function callApi(method, path, options = {}) {
  try {
    return await callOnce(method, path, options);
  } catch (error) {
    if (!(error instanceof Problem) || (error.status !== 401 && error.code !== "forgery_suspected")) throw error;
    token = await renewedToken(options.signal);
    return callOnce(method, path, options);
  }
}

/**
 * `callApi`, retried while the service is away. Only for requests that may be repeated: GET, or POST with an
 * Idempotency-Key. `onWait(true)` announces the first wait, `onWait(false)` its end.
 * @param {string} method
 * @param {string} path
 * @param {RequestOptions & RetryOptions} [options]
 */
export async function callPatiently(method, path, options = {}) {
  return retryWhileAway(() => callApi(method, path, options), options);
}

/**
 * The result of `attempt`, which is retried while it throws a transient Problem.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {RetryOptions} [options]
 * @returns {Promise<T>}
 */
export async function retryWhileAway(attempt, { onWait, signal } = {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      const value = await attempt();
      if (tries) onWait?.(false);
      return value;
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (tries === 0) onWait?.(true);
      await delay(WAITS_MS[tries] ?? 5000, signal);
    }
  }
}

/**
 * The bytes at a path of this service. Throws Problem.
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function fetchBlob(path, signal) {
  const answer = await request(path, { signal: signal ?? null });
  if (!answer.ok) throw problemOfAnswer(answer.status, await answer.body.text());
  return answer.body;
}

/** @typedef {{ blob: Blob, width: number, height: number }} ServiceView */

/**
 * The service's view of a picture that the browser cannot show; width and height are the picture's own. Throws Problem.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<ServiceView>}
 */
export async function fetchView(path, signal) {
  const answer = await request(path, { signal: signal ?? null });
  if (!answer.ok) throw problemOfAnswer(answer.status, await answer.body.text());
  const sideOf = (/** @type {string} */ name) => Number(answer.headers.get(`Cleanplate-${name}`));
  return { blob: answer.body, width: sideOf("Width"), height: sideOf("Height") };
}

/**
 * The value of a promise, or AbortError as soon as `signal` is aborted; the promise itself goes on.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function untilAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      reject(reasonOfAbort(signal));
    };
    const forget = () => {
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(forget);
  });
}

/**
 * A function that awaits the answers to one question asked repeatedly. An answer that arrives after the answer to a
 * later question is outdated: it becomes undefined.
 */
export function latestOnly() {
  let asked = 0;
  let answered = 0;
  /**
   * @template T
   * @param {Promise<T>} answer
   * @returns {Promise<T | undefined>}
   */
  return async (answer) => {
    const mine = (asked += 1);
    const value = await answer;
    if (mine < answered) return undefined;
    answered = mine;
    return value;
  };
}

/**
 * Wait. Throws AbortError as soon as `signal` is aborted.
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function delay(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(reasonOfAbort(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** The Problem of a request without an answer. */
export function unreachableProblem() {
  return new Problem({
    code: "unreachable",
    title: t("The service does not answer"),
    detail: t("It may be starting again, or the network is down."),
  });
}

/**
 * The Problem of an error's answer. An answer that is not the API's own, such as a proxy's, becomes `unexpected`.
 * @param {number} status
 * @param {string} text
 */
export function problemOfAnswer(status, text) {
  const { code, title, detail, errors } = fieldsOf(text);
  if (typeof code === "string" && typeof title === "string" && typeof detail === "string") {
    return new Problem({ code, title, detail, status, errors: Array.isArray(errors) ? /** @type {Fault[]} */ (errors) : [] });
  }
  return unexpectedProblem(status);
}

/**
 * The reason of an aborted signal as an error.
 * @param {AbortSignal | undefined} signal
 * @returns {Error}
 */
export function reasonOfAbort(signal) {
  /** @type {unknown} */
  const reason = signal?.reason;
  return reason instanceof Error ? reason : new DOMException("The request was aborted.", "AbortError");
}

/** @param {number} status */
function unexpectedProblem(status) {
  return new Problem({
    code: "unexpected",
    title: t("An unexpected answer"),
    detail: t("The service answered with the status {status}.", { status }),
    status,
  });
}

/**
 * @param {string} text
 * @returns {Partial<Record<string, unknown>>}
 */
function fieldsOf(text) {
  try {
    const parsed = parseJson(text);
    return Object(parsed) === parsed ? /** @type {Record<string, unknown>} */ (parsed) : {};
  } catch {
    return {};
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {RequestOptions} options
 * @returns {Promise<unknown>}
 */
async function callOnce(method, path, { body, headers, signal }) {
  token ??= tokenOfPage();
  const answer = await request(path, {
    method,
    headers: {
      ...headers,
      ...(method === "GET" ? {} : { "X-CSRF-Token": token }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
  });
  const text = await answer.body.text();
  if (!answer.ok) throw problemOfAnswer(answer.status, text);
  if (answer.status === 204) return null;
  try {
    return parseJson(text);
  } catch {
    throw unexpectedProblem(answer.status); // a proxy's login page, for one
  }
}

/** @param {AbortSignal} [signal] */
async function renewedToken(signal) {
  const session = /** @type {{ token: string }} */ (await callOnce("GET", "/session", { signal }));
  return session.token;
}

function tokenOfPage() {
  return document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
}

/**
 * An answer with its whole body, which can break off as well.
 * @param {string} path
 * @param {RequestInit} options
 */
async function request(path, options) {
  try {
    const answer = await fetch(below(path), options);
    return { ok: answer.ok, status: answer.status, headers: answer.headers, body: await answer.blob() };
  } catch (error) {
    if (isAbort(error)) throw error;
    throw unreachableProblem();
  }
}
