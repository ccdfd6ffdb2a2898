// A client of Cleanplate's HTTP API for Node (20 or newer) and browsers. It needs nothing but `fetch`.
//
//   const client = new Cleanplate({ url: "https://cleanplate.example", apiKey: "cp_…" });
//   const mask = await client.upload(maskFile, "mask.png");
//   const image = await client.upload(picture, "shirt-01.jpg");
//   const job = await client.submit({ images: [{ upload_id: image }], mask_upload_id: mask, ...rights });
//   for await (const state of client.follow(job.id)) console.log(state.progress);
//   for await (const line of client.results(job.id)) save(line.name, await client.download(line.image_id));

/**
 * The right by which the marks may be removed.
 * @typedef {{
 *   rights_basis: "owner" | "licensee" | "authorised_agent",
 *   attested_by: string,
 *   rights_reference: string,
 * }} Rights
 */
/**
 * One picture of a job: an upload, or an address.
 * @typedef {{
 *   upload_id?: string,
 *   url?: string,
 *   name?: string,
 *   path?: string,
 *   custom_id?: string,
 *   metadata?: Record<string, string>,
 *   mask?: Record<string, unknown>,
 *   mask_upload_id?: string,
 *   options?: Record<string, unknown>,
 * }} NewImage
 */
/**
 * A job to be submitted; other fields of `NewJob` in the API's description may be given too.
 * @typedef {Rights & {
 *   images?: NewImage[],
 *   source?: string | string[],
 *   destination?: string | { url: string, cache_control?: string, metadata?: Record<string, string> },
 *   mask?: Record<string, unknown>,
 *   mask_upload_id?: string,
 *   options?: Record<string, unknown>,
 *   name?: string,
 *   labels?: string[],
 *   metadata?: Record<string, string>,
 *   webhook_id?: string,
 *   webhook_ids?: string[],
 *   webhook?: { url: string, secret: string, events?: string[] },
 *   mail?: { to: string, language?: "en" | "zh-CN" },
 *   priority?: "interactive" | "bulk",
 *   [field: string]: unknown,
 * }} NewJob
 */
/** @typedef {"estimating" | "needs_review" | "queued" | "running" | "completed" | "canceled"} JobState */
/** @typedef {"queued" | "running" | "succeeded" | "skipped" | "failed" | "canceled"} ImageState */
/**
 * A job and its progress.
 * @typedef {{
 *   id: string,
 *   state: JobState,
 *   name: string | null,
 *   labels: string[],
 *   metadata: Record<string, string>,
 *   total: number,
 *   counts: Record<ImageState, number>,
 *   progress: number,
 *   parent_job_id: string | null,
 *   created_at: string,
 *   finished_at: string | null,
 *   [field: string]: unknown,
 * }} Job
 */
/**
 * One image of a job.
 * @typedef {{
 *   id: string,
 *   job_id: string,
 *   name: string,
 *   path: string | null,
 *   custom_id: string | null,
 *   state: ImageState,
 *   error: { code: string, detail: string } | null,
 *   review: "unseen" | "kept" | "rejected",
 *   result_url: string | null,
 *   [field: string]: unknown,
 * }} Image
 */
/**
 * A line of a job's results.
 * @typedef {{
 *   image_id: string,
 *   name: string,
 *   path: string | null,
 *   custom_id: string | null,
 *   content_type: string | null,
 *   sha256: string | null,
 *   bytes: number | null,
 *   [field: string]: unknown,
 * }} ResultLine
 */
/** @typedef {{ type: string, timestamp: string, sequence: number, data: Record<string, unknown> }} WebhookEvent */
/**
 * @typedef {{
 *   json?: unknown,
 *   query?: Record<string, string | undefined>,
 *   headers?: Record<string, string>,
 *   signal?: AbortSignal | undefined,
 * }} RequestOptions
 */

/** Most attempts at a request, and the longest wait between two, in milliseconds. */
const ATTEMPTS = 6;
const LONGEST_WAIT_MS = 15_000;
const FIRST_WAIT_MS = 500;
/** Seconds that the service may hold a long poll. */
const LONG_POLL_S = 25;
/** Seconds by which a webhook's time may differ from this machine's. */
const TOLERANCE_S = 300;
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);

/** An error of the service, with its stable `code`; `status` is 0 where no answer came. */
export class CleanplateError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail
   * @param {{ pointer?: string, detail: string }[]} [errors] the faults of the request, each with its place
   */
  constructor(status, code, detail, errors = []) {
    super(`${code}: ${detail}`);
    this.name = "CleanplateError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.errors = errors;
  }
}

/** A connection to one service with one key. Transient failures are repeated with growing, random waits. */
export class Cleanplate {
  #url;
  #headers;
  #fetch;

  /** @param {{ url: string, apiKey: string, fetch?: typeof globalThis.fetch }} options */
  constructor({ url, apiKey, fetch = globalThis.fetch }) {
    this.#url = url.replace(/\/+$/, "");
    this.#headers = { Authorization: `Bearer ${apiKey}` };
    this.#fetch = fetch.bind(globalThis);
  }

  /**
   * Send a file straight to the object store; its upload's id.
   * @param {Blob} file
   * @param {string} name
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<string>}
   */
  async upload(file, name, { signal } = {}) {
    const type = file.type || "application/octet-stream";
    const json = { files: [{ filename: name, content_type: type, size: file.size }] };
    /** @type {{ uploads: { id: string, method: string, url: string, headers: Record<string, string> }[] }} */
    const { uploads } = await this.request("POST", "/v1/uploads", { json, signal, headers: newKey() });
    const [slot] = uploads;
    if (!slot) throw new CleanplateError(0, "answer_unknown", "The service named no place for the file.");
    const { "Content-Length": _length, ...headers } = slot.headers; // fetch states the length by itself
    await this.#repeat(async () => {
      const answer = await this.#fetch(new URL(slot.url, this.#url), { method: slot.method, headers, body: file, signal });
      if (!answer.ok) throw new CleanplateError(answer.status, "transfer_refused", `The object store answered ${answer.status}.`);
    }, signal);
    return slot.id;
  }

  /**
   * Submit a job. The same `idempotencyKey` with the same job makes one job for 24 hours; without it each call makes one.
   * @param {NewJob} job
   * @param {{ idempotencyKey?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Job>}
   */
  async submit(job, { idempotencyKey, signal } = {}) {
    const headers = idempotencyKey === undefined ? newKey() : { "Idempotency-Key": idempotencyKey };
    return this.request("POST", "/v1/jobs", { json: job, headers, signal });
  }

  /** @param {string} jobId @returns {Promise<Job>} */
  job(jobId) {
    return this.request("GET", `/v1/jobs/${jobId}`);
  }

  /**
   * The tenant's jobs, newest first; `filters` are the query parameters of `GET /v1/jobs`.
   * @param {Record<string, string | undefined>} [filters]
   * @returns {AsyncGenerator<Job, void, undefined>}
   */
  jobs(filters = {}) {
    return this.#pages("/v1/jobs", filters);
  }

  /**
   * A job's images by position; `filters` are the query parameters of `GET /v1/jobs/{job_id}/images`.
   * @param {string} jobId
   * @param {Record<string, string | undefined>} [filters]
   * @returns {AsyncGenerator<Image, void, undefined>}
   */
  images(jobId, filters = {}) {
    return this.#pages(`/v1/jobs/${jobId}/images`, filters);
  }

  /**
   * A job's state now and after each change, until it has ended.
   * @param {string} jobId
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {AsyncGenerator<Job, void, undefined>}
   */
  async *follow(jobId, { signal } = {}) {
    let tag = "";
    for (;;) {
      const answer = await this.#send("GET", `/v1/jobs/${jobId}`, {
        signal,
        query: tag ? { wait: String(LONG_POLL_S) } : {},
        headers: tag ? { "If-None-Match": tag } : {},
      });
      if (answer.status === 304) continue;
      tag = answer.headers.get("etag") ?? "";
      const job = /** @type {Job} */ (await answer.json());
      yield job;
      if (job.state === "completed" || job.state === "canceled") return;
    }
  }

  /**
   * Wait for a job's end.
   * @param {string} jobId
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Job>}
   */
  async wait(jobId, options = {}) {
    let last;
    for await (const job of this.follow(jobId, options)) last = job;
    return /** @type {Job} */ (last);
  }

  /**
   * The lines of a job's results, in its order.
   * @param {string} jobId
   * @returns {AsyncGenerator<ResultLine, void, undefined>}
   */
  async *results(jobId) {
    const answer = await this.#send("GET", `/v1/jobs/${jobId}/results`, {});
    for (const line of (await answer.text()).split("\n")) if (line) yield JSON.parse(line);
  }

  /**
   * An image's result.
   * @param {string} imageId
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Blob>}
   */
  async download(imageId, { signal } = {}) {
    return (await this.#send("GET", `/v1/images/${imageId}/result`, { signal })).blob();
  }

  /**
   * All results of an ended job as a ZIP, from a byte on: the answer, whose `body` is a stream.
   * @param {string} jobId
   * @param {{ from?: number, etag?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Response>}
   */
  archive(jobId, { from = 0, etag = "", signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = from ? { Range: `bytes=${from}-`, ...(etag && { "If-Range": etag }) } : {};
    return this.#send("GET", `/v1/jobs/${jobId}/archive`, { headers, signal });
  }

  /** @param {string} jobId @returns {Promise<Job>} */
  cancel(jobId) {
    return this.request("POST", `/v1/jobs/${jobId}/cancel`);
  }

  /**
   * Judge an image's result.
   * @param {string} imageId
   * @param {"unseen" | "kept" | "rejected"} review
   * @param {string} [note]
   * @returns {Promise<Image>}
   */
  review(imageId, review, note) {
    return this.request("PATCH", `/v1/images/${imageId}`, { json: { review, ...(note !== undefined && { note }) } });
  }

  /**
   * Do images of a job again, as a child job; without a selection those that were rejected.
   * @param {string} jobId
   * @param {Record<string, unknown>} [how] the fields of `NewRedo` in the API's description
   * @returns {Promise<Job>}
   */
  redo(jobId, how = {}) {
    return this.request("POST", `/v1/jobs/${jobId}/redo`, { json: how, headers: newKey() });
  }

  /** Delete a job with all its files. @param {string} jobId */
  async delete(jobId) {
    await this.#send("DELETE", `/v1/jobs/${jobId}`, {});
  }

  /**
   * Any call of the API; its JSON.
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   * @returns {Promise<any>}
   */
  async request(method, path, options = {}) {
    return (await this.#send(method, path, options)).json();
  }

  /**
   * @param {string} path
   * @param {Record<string, string | undefined>} filters
   */
  async *#pages(path, filters) {
    let cursor;
    do {
      /** @type {{ data: any[], next_cursor: string | null }} */
      const page = await this.request("GET", path, { query: { ...filters, limit: "200", cursor } });
      yield* page.data;
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} options
   * @returns {Promise<Response>}
   */
  #send(method, path, { json, query = {}, headers = {}, signal }) {
    const url = new URL(this.#url + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const safe = method !== "POST" || "Idempotency-Key" in headers;
    return this.#repeat(async () => {
      const answer = await this.#fetch(url, {
        method,
        headers: { ...this.#headers, ...headers, ...(json !== undefined && { "Content-Type": "application/json" }) },
        body: json === undefined ? null : JSON.stringify(json),
        signal: signal ?? null,
      });
      if (!answer.ok && answer.status !== 304) throw await errorOf(answer);
      return answer;
    }, signal, safe);
  }

  /**
   * @template T
   * @param {() => Promise<T>} call
   * @param {AbortSignal | undefined} signal
   * @param {boolean} [safe] whether a call that may have had its effect may be repeated
   * @returns {Promise<T>}
   */
  async #repeat(call, signal, safe = true) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await call();
      } catch (error) {
        const known = error instanceof CleanplateError ? error : null;
        const transient = known ? TRANSIENT.has(known.status) || known.code === "idempotency_key_busy" : !signal?.aborted;
        if (!transient || attempt === ATTEMPTS || !(safe || known?.status === 429)) throw error;
        const wait = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
        await new Promise((resolve) => setTimeout(resolve, Math.max(wait, retryAfter.get(/** @type {object} */ (error)) ?? 0)));
      }
    }
  }
}

/** Milliseconds that `Retry-After` asks to wait, by error. @type {WeakMap<object, number>} */
const retryAfter = new WeakMap();

/** @param {Response} answer */
async function errorOf(answer) {
  /** @type {{ code?: string, detail?: string, errors?: { pointer?: string, detail: string }[] }} */
  let problem = {};
  if (answer.headers.get("content-type")?.startsWith("application/problem+json")) problem = await answer.json();
  const { code = `http_${answer.status}`, detail = `The service answered ${answer.status}.`, errors } = problem;
  const error = new CleanplateError(answer.status, code, detail, errors);
  const wait = Number(answer.headers.get("retry-after"));
  if (wait > 0) retryAfter.set(error, Math.min(wait * 1000, 4 * LONGEST_WAIT_MS));
  return error;
}

function newKey() {
  return { "Idempotency-Key": crypto.randomUUID() };
}

/**
 * The event in a webhook's post, if its signature holds and it is less than five minutes old (Standard Webhooks).
 * @param {string} secret the webhook's: `whsec_…`
 * @param {string} body the post's body, byte for byte
 * @param {Headers | Record<string, string | undefined>} headers
 * @param {{ now?: Date }} [options]
 * @returns {Promise<WebhookEvent>}
 */
export async function verifyWebhook(secret, body, headers, { now = new Date() } = {}) {
  const get = (/** @type {string} */ name) => (headers instanceof Headers ? headers.get(name) : headers[name]) ?? "";
  const [id, time, signatures] = [get("webhook-id"), get("webhook-timestamp"), get("webhook-signature")];
  if (!id || !/^\d+$/.test(time)) throw new Error("The post has no id or no time.");
  if (Math.abs(now.getTime() / 1000 - Number(time)) > TOLERANCE_S) throw new Error("The post is too old or too new.");
  const key = await crypto.subtle.importKey(
    "raw", bytesOf(secret.replace(/^whsec_/, "")), { name: "HMAC", hash: "SHA-256" }, false, ["verify"],
  );
  const signed = new TextEncoder().encode(`${id}.${time}.${body}`);
  for (const signature of signatures.split(" ")) {
    const [version, value = ""] = signature.split(",");
    if (version === "v1" && (await crypto.subtle.verify("HMAC", key, bytesOf(value), signed))) return JSON.parse(body);
  }
  throw new Error("No signature of the post holds.");
}

/** @param {string} base64 */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
