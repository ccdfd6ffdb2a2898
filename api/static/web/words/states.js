// How jobs are told of: their states in words, the bar of their images, their pace and the time that is left.

import { element, say } from "../frame/dom.js";
import { duration, language, n, number, t } from "./texts.js";

const WORDS = {
  queued: () => t("queued"), running: () => t("running"), completed: () => t("completed"), canceled: () => t("canceled"),
  failed: () => t("failed"), succeeded: () => t("succeeded"), skipped: () => t("skipped"), paused: () => t("paused"),
  pending: () => t("pending"), delivered: () => t("delivered"), estimating: () => t("looking for the mark"), needs_review: () => t("to be approved"),
  ready: () => t("ready"), rejected: () => t("rejected"),
};
const SEGMENTS = ["succeeded", "skipped", "failed", "canceled", "running"];
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** A state as its badge, in `place`; the same badge is kept. */
export function showState(place, word) {
  const badge = place.firstElementChild ?? place.appendChild(element("span"));
  badge.className = `state state-${word}`;
  say(badge, WORDS[word]());
}

/** The state of a job as people see it: a paused one is paused. */
export function stateOf(job) {
  return job.paused && !job.finished_at ? "paused" : job.state;
}

/** The bar of a job's images, in `place`: it grows in place. */
export function showBar(place, job) {
  let bar = place.firstElementChild;
  if (!bar) {
    bar = element("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": String(job.total), "aria-label": t("How far the job is") });
    for (const word of SEGMENTS) bar.append(element("span", { class: `bar-part bar-${word}` }));
    place.append(bar);
  }
  SEGMENTS.forEach((word, index) => {
    bar.children[index].style.width = `${(100 * job.counts[word]) / Math.max(1, job.total)}%`;
  });
  bar.setAttribute("aria-valuenow", String(endedOf(job)));
  bar.setAttribute("aria-valuetext", doneText(job));
}

export function endedOf({ counts }) {
  return counts.succeeded + counts.skipped + counts.failed + counts.canceled;
}

export function doneText(job) {
  return t("{done} of {total}", { done: number(endedOf(job)), total: number(job.total) });
}

/** Pictures in a time that makes a number one can read. */
export function paceText(job) {
  const rate = job.images_per_second;
  if (!rate) return "";
  if (rate >= 1) return t("{count} a second", { count: number(rate, rate < 10 ? 1 : 0) });
  if (rate * 60 >= 1) return t("{count} a minute", { count: number(rate * 60, rate * 60 < 10 ? 1 : 0) });
  return t("{count} an hour", { count: number(rate * 3600, 1) });
}

/** What is to be expected: the time that is left, the place in the line, or why it stands still. */
export function leftText(job) {
  if (job.finished_at) return "";
  if (job.paused) return t("paused");
  if (job.state === "needs_review") return t("waits for you");
  if (job.state === "estimating") return "";
  if (job.queue_position && !endedOf(job)) return job.queue_position === 1 ? t("next in line") : t("number {place} in line", { place: number(job.queue_position) });
  return job.eta_s ? t("{time} left", { time: duration(job.eta_s) }) : t("beginning");
}

export function picturesText(count) {
  return n("1 picture", "{count} pictures", count);
}

/** A moment as the reader writes it, in the reader's own time. */
export function moment(text) {
  return moments.format(new Date(text));
}

/** Seconds between two moments; until now where the second is not yet. */
export function secondsBetween(from, to) {
  return Math.max(0, ((to ? new Date(to) : new Date()) - new Date(from)) / 1000);
}
