// One picture through the service: its upload, a job of one image, its tiles, its result. Each part is repeated while the
// service is away, and none is done twice.

import { Problem, awaited, fetchBlob, fetchView, patiently, pause, persist } from "./api.js";
import { openPicture, openViewed } from "../picture/picture.js";
import { places, send, upload } from "../files/upload.js";

const SOON_MS = 200;
const LATER_MS = 800;
const SOON_FOR_MS = 8000;

/**
 * `{picture, sending}` of a file to work on. Where the browser cannot show it, the service is asked for a view of it, once
 * it is sent; `onViewed()` is told when that begins. Throws Unusable or Problem.
 */
export async function opened(file, name, limits, onViewed) {
  try {
    const picture = await openPicture(file, name, limits);
    return { picture, sending: new Sending(picture) };
  } catch (error) {
    if (!error.unseen) throw error;
    const sending = new Sending({ name, blob: file });
    onViewed();
    const id = await sending.id({ onProgress() {}, onWait() {} });
    return { picture: await openViewed(file, name, await viewed(`/v1/uploads/${id}/view`)), sending };
  }
}

/** The picture of a result, `{blob, image}` as `repair` gives it. Throws as `opened` does. */
export async function openedResult({ blob, image }, name, limits) {
  try {
    return await openPicture(blob, name, limits);
  } catch (error) {
    if (!error.unseen) throw error;
    return openViewed(blob, name, await viewed(`/v1/images/${image.id}/view`));
  }
}

function viewed(path) {
  return patiently(() => fetchView(path));
}

/** A picture's bytes on their way into the object store, begun before anybody asks for them. */
export class Sending {
  #picture;
  #id = null;
  #options = {};
  #share = 0;
  #waiting = false;

  constructor(picture) {
    this.#picture = picture;
    this.#begin();
  }

  /**
   * The upload's id, once the bytes are there; begun anew where it failed. `options` as in upload.js: their `signal` ends
   * the waiting, and the bytes are sent all the same.
   */
  async id(options) {
    this.#options = options;
    options.onProgress(this.#share);
    if (this.#waiting) options.onWait(true);
    try {
      return await awaited(this.#id, options.signal);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.#begin();
      return await awaited(this.#id, options.signal);
    } finally {
      if (this.#options === options) this.#options = {};
    }
  }

  /** Send the bytes again: the store does not have them any more. */
  renew() {
    this.#begin();
  }

  #begin() {
    const { name, blob } = this.#picture;
    const onWait = (waiting) => this.#waits(waiting);
    this.#share = 0;
    this.#id = places([{ name, blob }], { onWait }).then(async ([place]) => {
      await send(place, blob, { onProgress: (share) => this.#progressed(share), onWait });
      return place.id;
    });
    this.#id.catch(() => {}); // told to whoever asks for the id
  }

  #progressed(share) {
    this.#share = share;
    this.#options.onProgress?.(share);
  }

  #waits(waiting) {
    this.#waiting = waiting;
    this.#options.onWait?.(waiting);
  }
}

/**
 * The cleaned picture, `{blob, image}`: its file, and the job's image. `told({stage, share, tiles})` says how far it is: sending, waiting, repairing,
 * fetching; `onWait(true|false)` whether the service is away. Throws Problem, or AbortError where `signal` ends it.
 */
export async function repair(sending, name, mask, rights, { told, onWait, signal }) {
  const options = { onWait, signal };
  told({ stage: "sending", share: 0 });
  const source = await sending.id({ onProgress: (share) => told({ stage: "sending", share }), ...options });
  const marks = await upload("mask.json", mask, options);
  const body = { images: [{ upload_id: source, name }], mask_upload_id: marks, ...rights };
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  const job = await persist("POST", "/v1/jobs", { body, headers, ...options });
  try {
    const image = await ended(job, told, options);
    told({ stage: "fetching" });
    return { blob: await patiently(() => fetchBlob(image.result_url, signal), options), image };
  } catch (error) {
    if (error.name === "AbortError") persist("POST", `${job.links.self}/cancel`).catch(() => {}); // it was given up
    throw error;
  }
}

async function ended(job, told, options) {
  const began = performance.now();
  for (;;) {
    const [image] = (await persist("GET", job.links.images, options)).data;
    if (image.result_url) return image;
    if (image.state === "failed") throw new Problem({ ...image.error, title: "The image has no result: it failed", status: 409 });
    if (image.state === "canceled") {
      throw new Problem({ code: "image_canceled", title: "The job was canceled", detail: "", status: 409 });
    }
    told(image.state === "running" ? { stage: "repairing", tiles: [image.tiles_done, image.tiles_total] } : { stage: "waiting" });
    await pause(performance.now() - began < SOON_FOR_MS ? SOON_MS : LATER_MS, options.signal);
  }
}
