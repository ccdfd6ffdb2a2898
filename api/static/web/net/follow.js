// A job as it goes on: the service's events, taken up again whenever they break off, and the job's state fetched anew then.

import { Problem, awaited, below, call, pause } from "./api.js";

const AGAIN_MS = 2000;

/**
 * Tell `onJob(job)` how a job is until it has ended; `onAway(true|false)` whether the service is away. Resolves to the job
 * as it ended, or null where it is gone. Throws Problem, or AbortError where `signal` ends it.
 */
export async function follow(jobId, { onJob, onAway = () => {}, signal }) {
  for (let away = false; ; ) {
    try {
      const job = await call("GET", `/v1/jobs/${jobId}`, { signal });
      if (away) onAway((away = false));
      onJob(job);
      if (job.finished_at) return job;
      const last = await listened(jobId, onJob, signal);
      if (last) return last;
    } catch (error) {
      if (error.code === "not_found") return null;
      if (!(error instanceof Problem) || !error.passing) throw error;
      if (!away) onAway((away = true));
    }
    await pause(AGAIN_MS, signal);
  }
}

/** The job's end, once it is told; null where the stream broke off before. */
function listened(jobId, onJob, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stream = new EventSource(below(`/v1/jobs/${jobId}/events`));
    const leave = (settle, value) => {
      stream.close();
      signal?.removeEventListener("abort", aborted);
      settle(value);
    };
    const aborted = () => leave(reject, signal.reason);
    signal?.addEventListener("abort", aborted);
    stream.addEventListener("progress", (event) => onJob(JSON.parse(event.data)));
    stream.addEventListener("end", (event) => {
      const job = JSON.parse(event.data);
      onJob(job);
      leave(resolve, job);
    });
    // Whatever broke it off, the caller asks for the state itself and listens again: that also finds what is gone.
    stream.addEventListener("gone", () => leave(resolve, null));
    stream.addEventListener("error", () => leave(resolve, null));
  });
}

/**
 * Tell `onJob(job)` of all jobs as they change, until `signal` ends it. `look(signal)` gives the jobs as they are: asked
 * once the stream stands, so that nothing ends in between unheard, and each time that it stands again.
 */
export async function followAll({ look, onJob, onAway = () => {}, signal }) {
  for (let away = false; ; ) {
    const heard = new Set();
    const stream = listening((job) => {
      heard.add(job.id);
      onJob(job);
    }, signal);
    try {
      await stream.stands(); // or cannot: then the question tells why
      for (const job of await look(signal)) if (!heard.has(job.id)) onJob(job); // what was heard is newer
      if (away) onAway((away = false));
      await stream.ended();
    } catch (error) {
      if (!(error instanceof Problem) || !error.passing) throw error;
      if (!away) onAway((away = true));
    } finally {
      stream.leave();
    }
    await pause(AGAIN_MS, signal);
  }
}

/** Listen to all jobs: `stands` and `ended`, where it breaks off, resolve; both reject with AbortError. */
function listening(onJob, signal) {
  signal.throwIfAborted();
  const stream = new EventSource(below("/v1/events"));
  stream.addEventListener("job", (event) => onJob(JSON.parse(event.data)));
  const ended = new Promise((resolve) => {
    stream.addEventListener("error", () => {
      stream.close();
      resolve();
    });
  });
  const stands = Promise.race([new Promise((resolve) => stream.addEventListener("open", resolve)), ended]);
  return { stands: () => awaited(stands, signal), ended: () => awaited(ended, signal), leave: () => stream.close() };
}
