// Files into the object store: signed links from the API, then the bytes straight to the store, with progress.

import { Problem, callPatiently, problemOfAnswer, reasonOfAbort, retryWhileAway, unreachableProblem } from "../net/api.js";
import { t } from "../words/texts.js";
import { pictureType } from "./picture-types.js";

/** @import { RetryOptions } from "../net/api.js" */
/** @import { Upload } from "../net/answers.js" */
/** @typedef {{ name: string, blob: Pick<Blob, "size" | "type"> }} NamedFile */
/** @typedef {RetryOptions & { onProgress?: ((share: number) => void) | undefined }} SendOptions `onProgress` takes 0 to 1 */

/**
 * Request an upload for each file, in their order.
 * @param {NamedFile[]} files
 * @param {RetryOptions} [options]
 */
export async function requestUploads(files, options = {}) {
  const body = { files: files.map(({ name, blob }) => ({ filename: name, content_type: typeOf(name, blob), size: blob.size })) };
  const answer = /** @type {{ uploads: Upload[] }} */ (await callPatiently("POST", "/v1/uploads", { ...options, body }));
  return answer.uploads;
}

/**
 * Request the upload of one file.
 * @param {NamedFile} file
 * @param {RetryOptions} [options]
 */
export async function requestUpload(file, options) {
  const [upload] = await requestUploads([file], options);
  if (!upload) throw new Error("The service answered without an upload.");
  return upload;
}

/**
 * Send bytes to their upload; retried while the store is away.
 * @param {Upload} upload
 * @param {Blob} blob
 * @param {SendOptions} [options]
 */
export async function sendBytes(upload, blob, { onProgress = () => {}, onWait, signal } = {}) {
  await retryWhileAway(() => put(upload, blob, onProgress, signal), { onWait, signal });
  onProgress(1);
}

/**
 * Request an upload and send the file's bytes. Resolves to the upload's id.
 * @param {string} name
 * @param {Blob} blob
 * @param {SendOptions} [options]
 */
export async function uploadFile(name, blob, options = {}) {
  const upload = await requestUpload({ name, blob }, { signal: options.signal, onWait: options.onWait });
  await sendBytes(upload, blob, options);
  return upload.id;
}

/**
 * The media type of a file: by its name, else as the browser has it.
 * @param {string} name
 * @param {Pick<Blob, "type">} blob
 */
export function typeOf(name, blob) {
  const maskType = /\.json$/i.test(name) ? "application/json" : undefined;
  return pictureType(name) ?? maskType ?? (blob.type || "application/octet-stream");
}

/**
 * @param {Upload} upload
 * @param {Blob} blob
 * @param {(share: number) => void} onProgress
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function put(upload, blob, onProgress, signal) {
  // XMLHttpRequest, because fetch reports no progress of what is sent.
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    if (upload.url === null) throw new Error("The service answered with an upload in parts, which the page did not request.");
    const request = new XMLHttpRequest();
    const abort = () => {
      request.abort();
    };
    request.open(upload.method, upload.url);
    for (const [name, value] of Object.entries(upload.headers)) {
      if (name.toLowerCase() !== "content-length") request.setRequestHeader(name, value); // the browser sets it itself
    }
    request.upload.addEventListener("progress", (event) => {
      onProgress(event.total ? event.loaded / event.total : 0);
    });
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(problemOfStore(request));
    });
    request.addEventListener("error", () => { reject(unreachableProblem()); });
    request.addEventListener("abort", () => { reject(reasonOfAbort(signal)); });
    request.addEventListener("loadend", () => { signal?.removeEventListener("abort", abort); });
    signal?.addEventListener("abort", abort, { once: true });
    request.send(blob);
  });
}

/** @param {XMLHttpRequest} request */
function problemOfStore(request) {
  if (request.getResponseHeader("Content-Type")?.includes("json")) return problemOfAnswer(request.status, request.responseText);
  return new Problem({
    code: "unexpected",
    title: t("The file could not be sent"),
    detail: t("The storage of the pictures answered with the status {status}.", { status: request.status }),
    status: request.status,
  });
}
