// Jobs in words: their states, the bar of their images, their pace and the time left.

import { createElement, setText } from "../frame/dom.js";
import { duration, language, n, number, t } from "./texts.js";

/** @import { DeliveryState, ImageState, Job, JobState, TemplateState } from "../net/answers.js" */
/** @typedef {JobState | ImageState | TemplateState | DeliveryState | "paused"} State */

/** @type {Record<State, () => string>} */
const WORDS = {
  queued: () => t("queued"),
  running: () => t("running"),
  completed: () => t("completed"),
  canceled: () => t("canceled"),
  failed: () => t("failed"),
  succeeded: () => t("succeeded"),
  skipped: () => t("skipped"),
  paused: () => t("paused"),
  pending: () => t("pending"),
  delivered: () => t("delivered"),
  estimating: () => t("looking for the mark"),
  needs_review: () => t("to be approved"),
  ready: () => t("ready"),
  rejected: () => t("rejected"),
};
/** @type {("succeeded" | "skipped" | "failed" | "canceled" | "running")[]} */
const SEGMENTS = ["succeeded", "skipped", "failed", "canceled", "running"];
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/**
 * Show a state as a badge in `place`, whose badge is kept.
 * @param {Element} place
 * @param {State} state
 */
export function showState(place, state) {
  const badge = place.firstElementChild ?? place.appendChild(createElement("span"));
  badge.className = `state state-${state}`;
  setText(badge, WORDS[state]());
}

/**
 * The state of a job as the pages show it: `paused` while it is paused.
 * @param {Pick<Job, "state" | "paused" | "finished_at">} job
 * @returns {State}
 */
export function stateOf(job) {
  return job.paused && !job.finished_at ? "paused" : job.state;
}

/**
 * Show the bar of a job's images in `place`, whose bar is kept.
 * @param {Element} place
 * @param {Pick<Job, "total" | "counts">} job
 */
export function showBar(place, job) {
  const bar = place.firstElementChild ?? place.appendChild(newBar(job.total));
  SEGMENTS.forEach((state, index) => {
    const segment = /** @type {HTMLElement} */ (bar.children[index]);
    segment.style.width = `${(100 * job.counts[state]) / Math.max(1, job.total)}%`;
  });
  bar.setAttribute("aria-valuenow", String(endedOf(job)));
  bar.setAttribute("aria-valuetext", doneText(job));
}

/** @param {number} total */
function newBar(total) {
  const attributes = {
    class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": String(total), "aria-label": t("How far the job is"),
  };
  return createElement("div", attributes, ...SEGMENTS.map((state) => createElement("span", { class: `bar-part bar-${state}` })));
}

/**
 * The number of images that have ended.
 * @param {Pick<Job, "counts">} job
 */
export function endedOf({ counts }) {
  return counts.succeeded + counts.skipped + counts.failed + counts.canceled;
}

/** @param {Pick<Job, "counts" | "total">} job */
export function doneText(job) {
  return t("{done} of {total}", { done: number(endedOf(job)), total: number(job.total) });
}

/**
 * The pace of a job, per second, minute or hour: the first that is at least 1.
 * @param {Pick<Job, "images_per_second">} job
 */
export function paceText(job) {
  const rate = job.images_per_second;
  if (!rate) return "";
  if (rate >= 1) return t("{count} a second", { count: number(rate, rate < 10 ? 1 : 0) });
  if (rate * 60 >= 1) return t("{count} a minute", { count: number(rate * 60, rate * 60 < 10 ? 1 : 0) });
  return t("{count} an hour", { count: number(rate * 3600, 1) });
}

/**
 * The time left, the position in the queue, or the reason why the job stands still.
 * @param {Pick<Job, "state" | "paused" | "finished_at" | "counts" | "queue_position" | "eta_s">} job
 */
export function leftText(job) {
  if (job.finished_at) return "";
  if (job.paused) return t("paused");
  if (job.state === "needs_review") return t("waits for you");
  if (job.state === "estimating") return "";
  if (job.queue_position && !endedOf(job)) {
    return job.queue_position === 1 ? t("next in line") : t("number {place} in line", { place: number(job.queue_position) });
  }
  return job.eta_s ? t("{time} left", { time: duration(job.eta_s) }) : t("beginning");
}

/** @param {number} count */
export function picturesText(count) {
  return n("1 picture", "{count} pictures", count);
}

/**
 * A time as the reader writes it, in the reader's own time zone.
 * @param {string} text as the API writes it (ISO 8601)
 */
export function moment(text) {
  return moments.format(new Date(text));
}

/**
 * Seconds between two times, at least 0; until now without the second.
 * @param {string} from
 * @param {string | null} to
 */
export function secondsBetween(from, to) {
  const end = to ? Date.parse(to) : Date.now();
  return Math.max(0, (end - Date.parse(from)) / 1000);
}
