// The page of one job: its progress, its failures with advice, its pictures, its actions.
//
// The state comes from following the job alone: the answer of an action may be older than the last event.

import { confirmAction } from "../frame/confirm.js";
import { byId, childrenOf, closest, createElement, optionalById, query, readJson, runWhileVisible, setText } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import { callApi, delay, isTransient, latestOnly } from "../net/api.js";
import { below } from "../net/below.js";
import { followJob } from "../net/follow.js";
import { Bell } from "../parts/bell.js";
import { Deliveries } from "../parts/deliveries.js";
import { Gallery } from "../parts/gallery.js";
import { MailLine } from "../parts/mail.js";
import { Review, isHeld } from "../parts/review.js";
import { pairOfImage } from "../picture/pairs.js";
import { Zoom } from "../picture/zoom.js";
import { isWorthRetrying, reasonOf } from "../words/reasons.js";
import { doneText, endedOf, leftText, moment, paceText, secondsBetween, showBar, showState, stateOf } from "../words/states.js";
import { duration, language, n, number, t } from "../words/texts.js";

/** @import { Image, Job, Overview, Readiness, Reason } from "../net/answers.js" */

const OVERVIEW_MS = 3000;
const WORKERS_MS = 10_000;
const path = `/v1/jobs/${byId("job").dataset.job}`;
let job = /** @type {Job} */ (readJson("first"));
let overviewAt = 0;
let requests = new AbortController(); // aborted when the job is deleted

const zoom = new Zoom();
const gallery = new Gallery(`${path}/images`, byId("gallery"), byId("gallery-more"), {
  signal: () => requests.signal,
  onError: notifyError,
  onOpen: openPair,
});
const review = new Review(job, path, zoom, () => { watcher.restart(); });
const deliveries = new Deliveries(
  { section: byId("deliveries"), rows: byId("delivery-rows"), none: byId("deliveries-none") },
  { mayPostAgain: "administers" in byId("job").dataset, signal: () => requests.signal },
);
const mailLine = new MailLine();
const latestOverview = latestOnly();

/** @param {Image} image */
function openPair(image) {
  const pairs = gallery.images.map(pairOfImage).filter((pair) => pair !== null);
  const pair = pairs.find(({ key }) => key === image.id);
  if (pair) void zoom.open(pair, pairs);
}

/* Progress */

/** @param {Job} news */
function showJob(news) {
  const moved = news.counts.running !== job.counts.running || endedOf(news) !== endedOf(job) || news.tiles_done !== job.tiles_done;
  job = news;
  const isOpen = !job.finished_at;
  showState(byId("state"), stateOf(job));
  showBar(byId("bar"), job);
  setText(byId("done"), doneText(job));
  setText(byId("pace"), paceText(job) || "–");
  setText(byId("left"), leftText(job) || "–");
  const begunAt = job.review ? job.created_at : job.started_at; // the search for the mark is part of the work
  setText(byId("took"), begunAt ? duration(secondsBetween(begunAt, job.finished_at)) : "–");
  showIf("judge", job.counts.succeeded > 0);
  showIf("archive", !isOpen && job.counts.succeeded + job.counts.skipped > 0);
  showIf("cancel", isOpen && !isHeld(job)); // a job that waits for its mark has its own button
  showIf("pause", isOpen && !job.paused);
  showIf("resume", isOpen && job.paused);
  review.show(job);
  byId("pictures").hidden = isHeld(job); // nothing is to be seen of them yet
  showIf("left-alone", job.counts.skipped > 0);
  setText(byId("left-alone"), n("1 picture was left as it is, bit for bit: the mark is not in it.", "{count} pictures were left as they are, bit for bit: the mark is not in them.", job.counts.skipped));
  bell.show(job);
  mailLine.show(job);
  showIf("expiry", job.expires_at !== null);
  if (job.expires_at) setText(byId("expires"), moment(job.expires_at));
  showCounts();
  if (moved) gallery.refresh().catch(notifyError);
  if (!isOpen || Date.now() - overviewAt > OVERVIEW_MS) showOverview().catch(notifyError);
}

function showCounts() {
  for (const button of childrenOf(byId("filters"))) {
    const count = countOf(button.dataset.state ?? "");
    setText(query(button, "[data-count]"), number(count));
    button.hidden = Boolean(button.dataset.state) && !count && button.getAttribute("aria-pressed") !== "true";
  }
}

/** @param {string} state empty: all */
function countOf(state) {
  return new Map(Object.entries(job.counts)).get(state) ?? job.total;
}

/**
 * @param {string} id
 * @param {boolean} visible
 */
function showIf(id, visible) {
  const element = optionalById(id);
  if (element) element.hidden = !visible;
}

async function showOverview() {
  overviewAt = Date.now();
  if (!job.counts.failed && !job.counts.succeeded) return;
  const answer = await latestOverview(callApi("GET", `${path}/overview`, { signal: requests.signal }));
  if (!answer) return;
  const { reasons, stages } = /** @type {Overview} */ (answer);
  byId("failures").hidden = reasons.length === 0;
  showIf("retry", job.counts.failed > 0 && job.state !== "canceled" && reasons.some(({ code }) => isWorthRetrying(code)));
  byId("reasons").replaceChildren(...reasons.map(reasonRow));
  byId("stages").replaceChildren(...stageRows(stages));
  showTimes();
}

/** The parts of the job's time: until the first picture began, and from then on. */
function showTimes() {
  const { created_at, started_at, finished_at } = job;
  if (!started_at) return;
  const before = job.review ? t("Finding the mark, and your approval") : t("Waiting in line");
  setText(byId("before-name"), before);
  setText(byId("before-time"), duration(secondsBetween(created_at, started_at)));
  setText(byId("cleaning-time"), duration(secondsBetween(started_at, finished_at)));
  byId("times").hidden = false;
}

/** @param {Reason} reason */
function reasonRow({ code, count, detail }) {
  const [title, advice] = reasonOf(code);
  const pictures = createElement("span", { class: "soft number" }, n("1 picture", "{count} pictures", count));
  const show = createElement("button", { class: "button", type: "button" }, t("Show them"));
  show.addEventListener("click", reportingErrors(() => filterByReason(code, title)));
  return createElement(
    "li", { class: "reason" },
    createElement(
      "div", {},
      createElement("p", { class: "notice-title" }, `${title} `, pictures),
      createElement("p", {}, advice),
      ...(language === "en" ? [createElement("p", { class: "soft small" }, detail)] : []), // the API's own sentence is English
    ),
    show,
  );
}

/** @type {Partial<Record<string, () => string>>} */
const STAGES = {
  fetch: () => t("Fetching"),
  decode: () => t("Reading"),
  network: () => t("Filling"),
  unblend: () => t("Taking the mark off"),
  encode: () => t("Writing"),
  read_back: () => t("Checking the file"),
  store: () => t("Storing"),
};

/** @param {Record<string, number>} stages seconds of an image by stage */
function stageRows(stages) {
  const longest = Math.max(...Object.values(stages), 1e-6);
  return Object.entries(stages).map(([stage, seconds]) => {
    const bar = createElement("span", { class: "stage-bar" });
    bar.style.width = `${(100 * seconds) / longest}%`;
    return createElement(
      "div", {},
      createElement("dt", {}, STAGES[stage]?.() ?? stage),
      createElement(
        "dd", { class: "stage-line" },
        createElement("span", { class: "number" }, secondsText(seconds)),
        createElement("span", { class: "stage-track", "aria-hidden": "true" }, bar),
      ),
    );
  });
}

/** @param {number} seconds */
function secondsText(seconds) {
  return seconds < 1 ? t("{count} ms", { count: number(seconds * 1000) }) : t("{count} s", { count: number(seconds, 1) });
}

/* Filters of the pictures */

/** @param {string} state empty: all */
async function filterByState(state) {
  pressFilter(state);
  byId("reason-line").hidden = true;
  byId("gallery-none").hidden = true;
  await gallery.filter(state ? { state } : {});
}

/**
 * @param {string} code
 * @param {string} title
 */
async function filterByReason(code, title) {
  pressFilter("failed");
  byId("reason-name").textContent = title;
  byId("reason-line").hidden = false;
  byId("pictures-title").scrollIntoView({ behavior: "smooth" });
  await gallery.filter({ error_code: code });
}

/** @param {string} state */
function pressFilter(state) {
  for (const button of childrenOf(byId("filters"))) button.setAttribute("aria-pressed", String(button.dataset.state === state));
}

byId("filters").addEventListener("click", reportingErrors(async (event) => {
  const state = closest(event, "[data-state]")?.dataset.state;
  if (state !== undefined) await filterByState(state);
}));
byId("reason-off").addEventListener("click", reportingErrors(() => filterByState("")));
byId("gallery").addEventListener("filled", () => (byId("gallery-none").hidden = gallery.images.length > 0));

/* Actions */

/** @param {string} verb */
async function post(verb) {
  await callApi("POST", `${path}/${verb}`);
  watcher.restart();
}

const ACTIONS = {
  async retry() {
    await post("retry");
    notify("info", t("The failed pictures are tried again"));
    await filterByState("");
  },
  async cancel() {
    const detail = t("Pictures that are done stay; the others are left as they were.");
    if (await confirmAction(t("Cancel this job?"), detail, t("Cancel the job"))) await post("cancel");
  },
  pause: () => post("pause"),
  resume: () => post("resume"),
  async delete() {
    const detail = t("Its results and its pictures leave the service for good.");
    if (!(await confirmAction(t("Delete this job?"), detail, t("Delete")))) return;
    watcher.stop(); // requests for a deleted job would fail
    requests.abort();
    try {
      await callApi("DELETE", path);
    } catch (error) {
      requests = new AbortController();
      watcher.restart();
      throw error;
    }
    location.assign(below("/jobs"));
  },
};
for (const [id, act] of Object.entries(ACTIONS)) {
  const button = optionalById(id, HTMLButtonElement);
  button?.addEventListener("click", reportingErrors(async () => {
    button.disabled = true;
    try {
      await act();
    } finally {
      button.disabled = false;
    }
  }));
}

/* Following */

/**
 * Follow the job to its end.
 * @param {AbortSignal} signal
 */
async function watch(signal) {
  const onAway = (/** @type {boolean} */ away) => (byId("away").hidden = !away);
  const ended = await followJob(job.id, { onJob: showJob, onAway, signal });
  if (ended) await deliveries.show(ended);
  else notify("warning", t("The job is no longer there"), t("It was deleted, or its time was over."), { lasting: true });
}

/**
 * Tell that no worker or no dispatcher is running, and why, as long as the job is open.
 * @param {AbortSignal} signal
 */
async function watchWorkers(signal) {
  for (;;) {
    let state = /** @type {Readiness | null} */ (null);
    try {
      if (!job.finished_at) state = /** @type {Readiness} */ (await callApi("GET", "/readyz", { signal }));
    } catch (error) {
      if (!isTransient(error)) throw error; // the job's own requests tell that the service is away
    }
    showIf("workers", state?.workers === 0 || state?.reason === "dispatch_down");
    setText(byId("workers-away"), state?.workers === 0
      ? t("No worker is running. The pictures wait until one starts.")
      : t("The service's dispatcher is not running. The pictures wait until it starts."));
    showIf("workers-advice", Boolean(state?.reason));
    setText(byId("workers-reason"), state?.reason ?? "");
    await delay(WORKERS_MS, signal);
  }
}

const bell = new Bell(byId("tell", HTMLButtonElement), job);
showJob(job);
filterByState("").catch(notifyError);
deliveries.show(job).catch(notifyError);
const watcher = runWhileVisible(watch, notifyError);
runWhileVisible(watchWorkers, notifyError);
