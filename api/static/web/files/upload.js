// Files into the object store: links from the API, then the bytes straight to where the links lead, with progress.

import { Problem, patiently, persist, problemOf, unreachable } from "../net/api.js";
import { t } from "../words/texts.js";
import { pictureType } from "./picture-types.js";

/** Places for files `[{name, blob}]`, in their order: `[{id, url, method, headers}]`. */
export async function places(files, options = {}) {
  const wanted = files.map(({ name, blob }) => ({ filename: name, content_type: typeOf(name, blob), size: blob.size }));
  return (await persist("POST", "/v1/uploads", { ...options, body: { files: wanted } })).uploads;
}

/** Send bytes to their place; `onProgress(share)` from 0 to 1. Repeats while the store is away. */
export async function send(place, blob, { onProgress = () => {}, onWait, signal } = {}) {
  await patiently(() => put(place, blob, onProgress, signal), { onWait, signal });
  onProgress(1);
}

/** Both for one file: the upload's id. */
export async function upload(name, blob, options = {}) {
  const [place] = await places([{ name, blob }], { signal: options.signal, onWait: options.onWait });
  await send(place, blob, options);
  return place.id;
}

/** The media type by the name, because browsers know fewer formats than the service. */
export function typeOf(name, blob) {
  const ofMask = /\.json$/i.test(name) ? "application/json" : undefined;
  return pictureType(name) ?? ofMask ?? (blob.type || "application/octet-stream");
}

function put(place, blob, onProgress, signal) {
  // XMLHttpRequest, because fetch tells nothing of what has been sent.
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(place.method, place.url);
    for (const [name, value] of Object.entries(place.headers)) {
      if (name.toLowerCase() !== "content-length") request.setRequestHeader(name, value); // the browser's own to say
    }
    request.upload.addEventListener("progress", (event) => onProgress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(refused(request));
    });
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("abort", () => reject(signal.reason));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(blob);
  });
}

function refused(request) {
  if (request.getResponseHeader("Content-Type")?.includes("json")) {
    return problemOf(request.status, request.responseText);
  }
  return new Problem({
    code: "unexpected",
    title: t("The file could not be sent"),
    detail: t("The object store answered with the status {status}.", { status: request.status }),
    status: request.status,
  });
}
