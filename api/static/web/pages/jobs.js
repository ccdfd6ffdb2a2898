// The page of all jobs: a list that follows the events of the service.

import { buttonById, byId, childrenOf, cloneTemplate, readJson, runWhileVisible, setText } from "../frame/dom.js";
import { notifyError, reportingErrors } from "../frame/notices.js";
import { callApi } from "../net/api.js";
import { below } from "../net/below.js";
import { followJobs } from "../net/follow.js";
import { doneText, leftText, moment, paceText, picturesText, showBar, showState, stateOf } from "../words/states.js";
import { n } from "../words/texts.js";

/** @import { Job, Page } from "../net/answers.js" */
/** @typedef {ReturnType<typeof newRow>} Row */

const list = byId("jobs");
const { state = "", part: pageSize = "30" } = list.dataset;
/** @type {Map<string, Row>} */
const rows = new Map();
/** @type {string | null} */
let cursor = null;

/** @param {Job} job */
function showJob(job) {
  const known = rows.get(job.id);
  if (!known && state && job.state !== state) return;
  const row = known ?? addRow(job);
  showState(row.state, stateOf(job));
  showBar(row.bar, job);
  setText(row.done, doneText(job));
  setText(row.pace, [paceText(job), leftText(job)].filter(Boolean).join(", "));
  setText(row.failed, job.counts.failed ? n("1 failed", "{count} failed", job.counts.failed) : "");
}

/** @param {Job} job */
function addRow(job) {
  const row = newRow();
  row.name.textContent = [job.name, picturesText(job.total), moment(job.created_at)].filter(Boolean).join(", ");
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
    name: HTMLAnchorElement, state: HTMLElement, bar: HTMLElement, done: HTMLElement, pace: HTMLElement, failed: HTMLElement,
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
    const query = new URLSearchParams({ limit: pageSize, ...(cursor && { cursor }), ...(state && { state }) });
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
  const page = /** @type {Page<Job>} */ (await callApi("GET", `/v1/jobs?limit=${Math.max(100, rows.size)}`, { signal }));
  return page.data.filter((job) => job.id >= oldest);
}

list.replaceChildren();
append(/** @type {Page<Job>} */ (readJson("first")));
const onAway = (/** @type {boolean} */ away) => (byId("away").hidden = !away);
runWhileVisible((signal) => followJobs({ fetchJobs, onJob: showJob, onAway, signal }), notifyError);
