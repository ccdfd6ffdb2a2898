// Jobs while they go on, by the service's events. A stream that breaks off is opened again, after the state is fetched.

import { callApi, delay, hasCode, isTransient, reasonOfAbort, untilAborted } from "./api.js";
import { below } from "./below.js";
import { parseJson } from "./json.js";

/** @import { Job } from "./answers.js" */

const AGAIN_MS = 2000;

/**
 * Report each state of a job to `onJob` until the job ends. Resolves to the ended job, or to null where the job is gone.
 * Throws Problem, or AbortError.
 * @param {string} jobId
 * @param {{ onJob: (job: Job) => void, onAway?: (away: boolean) => void, signal?: AbortSignal | undefined }} options
 * `onAway` hears when the service goes away and comes back
 * @returns {Promise<Job | null>}
 */
export async function followJob(jobId, { onJob, onAway, signal }) {
  for (let away = false; ; ) {
    try {
      const job = /** @type {Job} */ (await callApi("GET", `/v1/jobs/${jobId}`, { signal }));
      if (away) onAway?.((away = false));
      onJob(job);
      if (job.finished_at) return job;
      const ended = await endOfStream(jobId, onJob, signal);
      if (ended) return ended;
    } catch (error) {
      if (hasCode(error, "not_found")) return null;
      if (!isTransient(error)) throw error;
      if (!away) onAway?.((away = true));
    }
    await delay(AGAIN_MS, signal);
  }
}

/**
 * The ended job that the stream reports, or null where the stream breaks off before.
 * @param {string} jobId
 * @param {(job: Job) => void} onJob
 * @param {AbortSignal} [signal]
 * @returns {Promise<Job | null>}
 */
function endOfStream(jobId, onJob, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stream = new EventSource(below(`/v1/jobs/${jobId}/events`));
    const close = () => {
      stream.close();
      signal?.removeEventListener("abort", abort);
    };
    const abort = () => {
      close();
      reject(reasonOfAbort(signal));
    };
    const breakOff = () => {
      close();
      resolve(null);
    };
    signal?.addEventListener("abort", abort);
    stream.addEventListener("progress", (event) => { onJob(jobOf(event.data)); });
    stream.addEventListener("end", (event) => {
      const job = jobOf(event.data);
      onJob(job);
      close();
      resolve(job);
    });
    // After any break the caller fetches the state and listens again: it also learns that way that the job is gone.
    stream.addEventListener("gone", breakOff);
    stream.addEventListener("error", breakOff);
  });
}

/**
 * Report each change of all jobs to `onJob` until `signal` is aborted. `fetchJobs` gives their present states: it runs once
 * the stream is open, so that no end is missed in between, and again after each break.
 * @param {{
 *   fetchJobs: (signal: AbortSignal) => Promise<Job[]>,
 *   onJob: (job: Job) => void,
 *   onAway?: (away: boolean) => void,
 *   signal: AbortSignal,
 * }} options
 * @returns {Promise<never>}
 */
export async function followJobs({ fetchJobs, onJob, onAway, signal }) {
  for (let away = false; ; ) {
    const heard = new Set();
    const stream = openStream((job) => {
      heard.add(job.id);
      onJob(job);
    }, signal);
    try {
      await stream.opened(); // or broken: then the next request says why
      for (const job of await fetchJobs(signal)) if (!heard.has(job.id)) onJob(job); // what the stream reported is newer
      if (away) onAway?.((away = false));
      await stream.broken();
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (!away) onAway?.((away = true));
    } finally {
      stream.close();
    }
    await delay(AGAIN_MS, signal);
  }
}

/**
 * The stream of all jobs. `opened` and `broken` reject with AbortError.
 * @param {(job: Job) => void} onJob
 * @param {AbortSignal} signal
 */
function openStream(onJob, signal) {
  signal.throwIfAborted();
  const stream = new EventSource(below("/v1/events"));
  stream.addEventListener("job", (event) => { onJob(jobOf(event.data)); });
  const broken = /** @type {Promise<void>} */ (new Promise((resolve) => {
    stream.addEventListener("error", () => {
      stream.close();
      resolve();
    });
  }));
  const opened = /** @type {Promise<void>} */ (new Promise((resolve) => {
    stream.addEventListener("open", () => { resolve(); });
  }));
  const settled = Promise.race([opened, broken]);
  return {
    opened: () => untilAborted(settled, signal),
    broken: () => untilAborted(broken, signal),
    close: () => { stream.close(); },
  };
}

/** @param {unknown} data of an event */
function jobOf(data) {
  return /** @type {Job} */ (parseJson(String(data)));
}
