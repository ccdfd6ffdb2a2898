// The list of jobs: what the page came with, and what events tell of since.

import { below, call } from "../net/api.js";
import { given, part, say, whileSeen } from "../frame/dom.js";
import { followAll } from "../net/follow.js";
import { notifyOf } from "../frame/notices.js";
import { doneText, leftText, moment, paceText, picturesText, showBar, showState, stateOf } from "../words/states.js";
import { n } from "../words/texts.js";

const at = (id) => document.getElementById(id);
const list = at("jobs");
const { state, part: size } = list.dataset;
const rows = new Map();
let cursor = null;

function show(job) {
  const known = rows.get(job.id);
  if (!known && state && job.state !== state) return;
  const row = known ?? added(job);
  showState(row.state, stateOf(job));
  showBar(row.bar, job);
  say(row.done, doneText(job));
  say(row.pace, [paceText(job), leftText(job)].filter(Boolean).join(", "));
  say(row.failed, job.counts.failed ? n("1 failed", "{count} failed", job.counts.failed) : "");
}

function added(job) {
  const row = part("job-card");
  row.name.textContent = `${picturesText(job.total)}, ${moment(job.created_at)}`;
  row.name.href = below(`/jobs/${job.id}`);
  row.root.dataset.job = job.id;
  // Ids grow with time: the newest is the first.
  const after = [...list.children].find((other) => other.dataset.job < job.id);
  list.insertBefore(row.root, after ?? null);
  rows.set(job.id, row);
  at("none").hidden = true;
  return row;
}

function take(page) {
  for (const job of page.data) if (!rows.has(job.id)) show(job); // what is shown is newer
  cursor = page.next_cursor;
  at("more").hidden = !cursor;
}

at("more").addEventListener("click", async () => {
  at("more").disabled = true;
  try {
    take(await call("GET", `/v1/jobs?${new URLSearchParams({ limit: size, cursor, ...(state && { state }) })}`));
  } catch (error) {
    notifyOf(error);
  }
  at("more").disabled = false;
});

/** The jobs that are shown, as they are now, and those that came since. */
async function look(signal) {
  const oldest = list.lastElementChild?.dataset.job ?? "";
  const page = await call("GET", `/v1/jobs?limit=${Math.max(100, rows.size)}`, { signal });
  return page.data.filter((job) => job.id >= oldest);
}

list.replaceChildren();
take(given("first"));
whileSeen((signal) => followAll({ look, onJob: show, onAway: (away) => (at("away").hidden = !away), signal }), notifyOf);
