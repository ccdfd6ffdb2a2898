// One picture through the service: its upload, a job of one image, its tiles, its result. Each part is retried while the
// service is away; none is done twice.

import { isAbort } from "../frame/dom.js";
import { requestUpload, sendBytes, uploadFile } from "../files/upload.js";
import { Unusable } from "../files/unusable.js";
import { openPicture, openServiceView } from "../picture/picture.js";
import { Problem, callPatiently, delay, fetchBlob, fetchView, retryWhileAway, untilAborted } from "./api.js";

/** @import { Limits, Picture } from "../picture/picture.js" */
/** @import { SendOptions } from "../files/upload.js" */
/** @import { Statement } from "../frame/rights.js" */
/** @import { Image, Job, Page } from "./answers.js" */
/**
 * The progress of a repair; `share` of the bytes sent is 0 to 1.
 * @typedef {{ stage: "sending", share: number }
 *   | { stage: "waiting" }
 *   | { stage: "searching" }
 *   | { stage: "repairing", done: number, total: number | null }
 *   | { stage: "fetching" }} Progress
 */
/** @typedef {{ onProgress: (progress: Progress) => void, onWait: (away: boolean) => void, signal: AbortSignal }} WaitOptions */
/** @typedef {Pick<Job, "links"> & { how?: How }} RunningJob what the waiting for a job needs, and how it repairs */
/** @typedef {{ method?: "recover" | "fill", model?: string }} How as the API takes it; without a field as the service chooses */
/** @typedef {WaitOptions & { onJob: (job: RunningJob) => void, how: How }} RepairOptions */
/** @typedef {{ blob: Blob, image: Image }} Result the result's file, and the job's image */

const MOST_NAME = 200;
const SOON_MS = 200;
const LATER_MS = 800;
const SOON_FOR_MS = 8000;

/**
 * Open a file to work on; its upload can begin. Where the browser cannot show it, the file is sent and then the service's
 * view is shown; `onView` runs before that. Throws Unusable or Problem.
 * @param {File} file
 * @param {string} name
 * @param {Limits} limits
 * @param {() => void} onView
 * @returns {Promise<{ picture: Picture, upload: BackgroundUpload }>}
 */
export async function openForRepair(file, name, limits, onView) {
  try {
    const picture = await openPicture(file, name, limits);
    return { picture, upload: new BackgroundUpload(picture, { later: true }) };
  } catch (error) {
    if (!serviceMayShow(error)) throw error;
    const upload = new BackgroundUpload({ name, blob: file });
    onView();
    const id = await upload.id();
    return { picture: await openServiceView(file, name, await fetchViewPatiently(`/v1/uploads/${id}/view`)), upload };
  }
}

/**
 * Open a result as a picture. Throws Unusable or Problem.
 * @param {Result} result
 * @param {string} name
 * @param {Limits} limits
 */
export async function openResult({ blob, image }, name, limits) {
  try {
    return await openPicture(blob, name, limits);
  } catch (error) {
    if (!serviceMayShow(error)) throw error;
    return openServiceView(blob, name, await fetchViewPatiently(`/v1/images/${image.id}/view`));
  }
}

/** @param {unknown} error */
function serviceMayShow(error) {
  return error instanceof Unusable && error.serviceMayShow;
}

/** @param {string} path */
function fetchViewPatiently(path) {
  return retryWhileAway(() => fetchView(path));
}

/** The upload of a picture's bytes, which starts before anybody needs it: at once, or by `begin`. */
export class BackgroundUpload {
  #file;
  /** @type {Promise<string> | null} Null before it starts. */
  #id = null;
  /** @type {SendOptions} of the caller that waits */
  #options = {};
  #share = 0;
  #waiting = false;

  /**
   * @param {Pick<Picture, "name" | "blob">} file
   * @param {{ later?: boolean }} [options] `later`: it starts by `begin`
   */
  constructor({ name, blob }, { later = false } = {}) {
    this.#file = { name, blob };
    if (!later) this.begin();
  }

  /** Start the upload, once. */
  begin() {
    void this.#started;
  }

  get #started() {
    return (this.#id ??= this.#start());
  }

  /**
   * The upload's id once the bytes are sent; a failed upload starts again. `signal` ends the waiting, not the upload.
   * @param {SendOptions} [options]
   */
  async id(options = {}) {
    this.#options = options;
    options.onProgress?.(this.#share);
    if (this.#waiting) options.onWait?.(true);
    try {
      return await untilAborted(this.#started, options.signal);
    } catch (error) {
      if (isAbort(error)) throw error;
      this.#id = this.#start();
      return await untilAborted(this.#id, options.signal);
    } finally {
      if (this.#options === options) this.#options = {};
    }
  }

  /** Send the bytes again: the store does not have them any more. */
  renew() {
    this.#id = this.#start();
  }

  #start() {
    this.#share = 0;
    const id = this.#send();
    id.catch(() => {}); // the caller of `id()` gets the error
    return id;
  }

  async #send() {
    const onWait = (/** @type {boolean} */ waiting) => {
      this.#waiting = waiting;
      this.#options.onWait?.(waiting);
    };
    const onProgress = (/** @type {number} */ share) => {
      this.#share = share;
      this.#options.onProgress?.(share);
    };
    const upload = await requestUpload(this.#file, { onWait });
    await sendBytes(upload, this.#file.blob, { onProgress, onWait });
    return upload.id;
  }
}

/**
 * Repair a picture with a mask: upload, job, result. Throws Problem, or AbortError: then the job is canceled.
 * @param {BackgroundUpload} upload
 * @param {string} name
 * @param {Blob} mask
 * @param {Statement} rights
 * @param {RepairOptions} options
 * @returns {Promise<Result>}
 */
export async function repairPicture(upload, name, mask, rights, { onProgress, onWait, onJob, signal, how }) {
  const fields = async () => ({ mask_upload_id: await uploadFile("mask.json", mask, { onWait, signal }), options: how });
  const job = await submitRepair(upload, name, fields, rights, { onProgress, onWait, signal });
  onJob({ links: job.links, how });
  return awaitResult(job, { onProgress, onWait, signal });
}

/**
 * Submit a job of one picture. Throws Problem, or AbortError.
 * @param {BackgroundUpload} upload
 * @param {string} name
 * @param {() => Promise<Record<string, unknown>>} fields of the job, its mask among them; called once the picture is sent
 * @param {Statement} rights
 * @param {WaitOptions} options
 * @returns {Promise<Job>}
 */
export async function submitRepair(upload, name, fields, rights, { onProgress, onWait, signal }) {
  const options = { onWait, signal };
  onProgress({ stage: "sending", share: 0 });
  const source = await upload.id({ onProgress: (share) => { onProgress({ stage: "sending", share }); }, ...options });
  const body = { kind: "repair", ...nameOf(name), images: [{ upload_id: source, name }], ...(await fields()), ...rights };
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  return /** @type {Job} */ (await callPatiently("POST", "/v1/jobs", { body, headers, ...options }));
}

/**
 * The name of a job as the API takes it: one line of at most 200 characters.
 * @param {string} name of the picture
 */
function nameOf(name) {
  const line = name.replace(/\p{Cc}/gu, " ").slice(0, MOST_NAME).trim();
  return line ? { name: line } : {};
}

/**
 * Wait for the result of a job of one image, and fetch it. Throws Problem, or AbortError: then the job is canceled.
 * @param {RunningJob} job
 * @param {WaitOptions} options
 * @returns {Promise<Result>}
 */
export async function awaitResult(job, { onProgress, onWait, signal }) {
  const options = { onWait, signal };
  try {
    const image = await waitForResult(job, onProgress, options);
    onProgress({ stage: "fetching" });
    return { blob: await retryWhileAway(() => fetchBlob(image.result_url, signal), options), image };
  } catch (error) {
    if (isAbort(error)) callPatiently("POST", `${job.links.self}/cancel`).catch(console.warn); // the person has gone on
    throw error;
  }
}

/**
 * @param {RunningJob} job of one image
 * @param {WaitOptions["onProgress"]} onProgress
 * @param {Pick<WaitOptions, "onWait" | "signal">} options
 * @returns {Promise<Image & { result_url: string }>}
 */
async function waitForResult(job, onProgress, options) {
  const start = performance.now();
  for (;;) {
    const page = /** @type {Page<Image>} */ (await callPatiently("GET", job.links.images, options));
    const [image] = page.data;
    if (!image) throw new Error("The job has no image.");
    const { result_url, error } = image;
    if (result_url) return { ...image, result_url };
    if (image.state === "failed") {
      const { code, detail } = error ?? { code: "internal_error", detail: "" };
      throw new Problem({ code, detail, title: "The image has no result: it failed", status: 409 });
    }
    if (image.state === "canceled") {
      throw new Problem({ code: "image_canceled", title: "The job was canceled", detail: "", status: 409 });
    }
    if (image.state === "running") onProgress({ stage: "repairing", done: image.tiles_done, total: image.tiles_total });
    else onProgress({ stage: "waiting" });
    await delay(performance.now() - start < SOON_FOR_MS ? SOON_MS : LATER_MS, options.signal);
  }
}
