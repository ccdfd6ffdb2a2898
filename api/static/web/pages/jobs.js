// The page of all jobs: a list that follows the events of the service.

import { buttonById, byId, childrenOf, cloneTemplate, readJson, runWhileVisible, setText } from "../frame/dom.js";
import { notifyError, reportingErrors } from "../frame/notices.js";
import { callApi } from "../net/api.js";
import { below } from "../net/below.js";
import { followJobs } from "../net/follow.js";
import { Looks } from "../parts/looks.js";
import { doneText, leftText, moment, paceText, picturesText, showBar, showState, stateOf } from "../words/states.js";
import { n } from "../words/texts.js";

/** @import { Job, Page } from "../net/answers.js" */
/** @typedef {ReturnType<typeof newRow>} Row */

const list = byId("jobs");
const { state = "", kind = "catalogue", words = "", part: pageSize = "30" } = list.dataset;
/** The filters of the list, as the API takes them. */
const filters = { kind, ...(state && { state }), ...(words && { q: words }) };
/** @type {Map<string, Row>} */
const rows = new Map();
/** @type {string | null} */
let cursor = null;
const looks = new Looks();

/** @param {Job} job */
function showJob(job) {
  const known = rows.get(job.id);
  if (!known && !belongs(job)) return;
  const row = known ?? addRow(job);
  showState(row.state, stateOf(job));
  showBar(row.bar, job);
  setText(row.done, doneText(job));
  setText(row.pace, [paceText(job), leftText(job)].filter(Boolean).join(", "));
  setText(row.failed, job.counts.failed ? n("1 failed", "{count} failed", job.counts.failed) : "");
  row.looks.hidden = !job.counts.succeeded;
  if (job.counts.succeeded) looks.watch(row, job);
}

/**
 * Whether a job of which an event tells is one of the list.
 * @param {Job} job
 */
function belongs(job) {
  const name = (job.name ?? "").toLowerCase();
  const named = words.toLowerCase().split(/\s+/).every((word) => name.includes(word));
  return job.kind === kind && (!state || job.state === state) && named;
}

/** @param {Job} job */
function addRow(job) {
  const row = newRow();
  row.name.textContent = job.name ?? picturesText(job.total);
  row.facts.textContent = [job.name ? picturesText(job.total) : "", moment(job.created_at)].filter(Boolean).join(" · ");
  row.name.href = below(`/jobs/${job.id}`);
  row.root.dataset.job = job.id;
  // Ids grow with time, and the newest job is first.
  const next = childrenOf(list).find((other) => (other.dataset.job ?? "") < job.id);
  list.insertBefore(row.root, next ?? null);
  rows.set(job.id, row);
  byId("none").hidden = true;
  return row;
}

function newRow() {
  return cloneTemplate("job-card", {
    looks: HTMLElement, name: HTMLAnchorElement, facts: HTMLElement, state: HTMLElement, bar: HTMLElement, done: HTMLElement, pace: HTMLElement, failed: HTMLElement,
  });
}

/** @param {Page<Job>} page */
function append(page) {
  for (const job of page.data) if (!rows.has(job.id)) showJob(job); // the shown state is newer
  cursor = page.next_cursor;
  buttonById("more").hidden = !cursor;
}

buttonById("more").addEventListener("click", reportingErrors(async () => {
  buttonById("more").disabled = true;
  try {
    const query = new URLSearchParams({ limit: pageSize, ...filters, ...(cursor && { cursor }) });
    append(/** @type {Page<Job>} */ (await callApi("GET", `/v1/jobs?${query}`)));
  } finally {
    buttonById("more").disabled = false;
  }
}));

/**
 * The present states of the jobs in the list, and of newer ones.
 * @param {AbortSignal} signal
 */
async function fetchJobs(signal) {
  const oldest = childrenOf(list).at(-1)?.dataset.job ?? "";
  // However they are filtered by state: a job of the list may have gone on to another one.
  const query = new URLSearchParams({ limit: String(Math.max(100, rows.size)), kind, ...(words && { q: words }) });
  const page = /** @type {Page<Job>} */ (await callApi("GET", `/v1/jobs?${query}`, { signal }));
  return page.data.filter((job) => job.id >= oldest);
}

list.replaceChildren();
append(/** @type {Page<Job>} */ (readJson("first")));
const onAway = (/** @type {boolean} */ away) => (byId("away").hidden = !away);
runWhileVisible((signal) => followJobs({ fetchJobs, onJob: showJob, onAway, signal }), notifyError);
