// One job: how far it is, what went wrong and what to do about it, its pictures, and what can be done with it.
//
// How it is comes by one way alone, from following it: the answer of an action may be older than what was told since.

import { below, call, newest } from "../net/api.js";
import { Deliveries } from "../parts/deliveries.js";
import { element, given, say, whileSeen } from "../frame/dom.js";
import { follow } from "../net/follow.js";
import { Gallery } from "../parts/gallery.js";
import { notify, notifyOf } from "../frame/notices.js";
import { pairOfImage } from "../picture/pairs.js";
import { reasonOf } from "../words/reasons.js";
import { Review, isHeld } from "../parts/review.js";
import { doneText, endedOf, leftText, moment, paceText, secondsBetween, showBar, showState, stateOf } from "../words/states.js";
import { sure } from "../frame/sure.js";
import { duration, n, number, t } from "../words/texts.js";
import { Zoom } from "../picture/zoom.js";

const OVERVIEW_MS = 3000;
const at = (id) => document.getElementById(id);
const path = `/v1/jobs/${at("job").dataset.job}`;
let job = given("first");
let overviewAt = 0;
let asking = new AbortController(); // ends what is asked of a job that is deleted

const zoom = new Zoom();
const gallery = new Gallery(`${path}/images`, at("gallery"), at("gallery-more"), {
  signal: () => asking.signal,
  tell: notifyOf,
  open: (image) => zoom.open(pairOfImage(image), gallery.images.filter((one) => one.preview_url).map(pairOfImage)),
});
const review = new Review(path, zoom, () => watching.again());
const deliveries = new Deliveries(
  { section: at("deliveries"), rows: at("delivery-rows"), none: at("deliveries-none") },
  { mayPostAgain: "administers" in at("job").dataset, signal: () => asking.signal },
);

/* How it is */

function show(news) {
  const moved = news.counts.running !== job.counts.running || endedOf(news) !== endedOf(job) || news.tiles_done !== job.tiles_done;
  job = news;
  showState(at("state"), stateOf(job));
  showBar(at("bar"), job);
  say(at("done"), doneText(job));
  say(at("pace"), paceText(job) || "–");
  say(at("left"), leftText(job) || "–");
  say(at("took"), job.started_at ? duration(secondsBetween(job.started_at, job.finished_at)) : "–");
  const open = !job.finished_at;
  appear("archive", !open && job.counts.succeeded + job.counts.skipped > 0);
  appear("retry", job.counts.failed > 0 && job.state !== "canceled");
  appear("cancel", open && !isHeld(job)); // what waits for its mark has such a button beside it
  appear("pause", open && !job.paused);
  appear("resume", open && job.paused);
  review.show(job);
  at("left-alone").hidden = !job.counts.skipped;
  say(at("left-alone"), n("1 picture was left as it is, bit for bit: the mark is not in it.", "{count} pictures were left as they are, bit for bit: the mark is not in them.", job.counts.skipped));
  at("expiry").hidden = !job.expires_at;
  if (job.expires_at) say(at("expires"), moment(job.expires_at));
  for (const button of at("filters").children) {
    const word = button.dataset.state;
    const count = word ? job.counts[word] : job.total;
    say(button.querySelector("[data-count]"), number(count));
    button.hidden = Boolean(word) && !count && button.getAttribute("aria-pressed") !== "true";
  }
  if (moved) gallery.changed().catch(notifyOf);
  if (!open || Date.now() - overviewAt > OVERVIEW_MS) showOverview().catch(notifyOf);
}

function appear(id, shown) {
  if (at(id)) at(id).hidden = !shown;
}

const overview = newest();

async function showOverview() {
  overviewAt = Date.now();
  if (!job.counts.failed && !job.counts.succeeded) return;
  const found = await overview(call("GET", `${path}/overview`, { signal: asking.signal }));
  if (!found) return;
  const { reasons, stages } = found;
  at("failures").hidden = reasons.length === 0;
  at("reasons").replaceChildren(...reasons.map(reasonRow));
  at("stages").replaceChildren(...stageRows(stages));
}

function reasonRow({ code, count, detail }) {
  const [title, advice] = reasonOf(code);
  const look = element("button", { class: "button", type: "button" }, t("Show them"));
  look.addEventListener("click", () => chooseReason(code, title));
  return element(
    "li", { class: "reason" },
    element("div", {}, element("p", { class: "notice-title" }, `${title} `, element("span", { class: "soft number" }, n("1 picture", "{count} pictures", count))), element("p", {}, advice), element("p", { class: "soft small", lang: "en" }, detail)),
    look,
  );
}

const STAGES = {
  fetch: () => t("Fetching"), decode: () => t("Reading"), network: () => t("Filling"), encode: () => t("Writing"), store: () => t("Storing"),
};

function stageRows(stages) {
  const longest = Math.max(...Object.values(stages), 1e-6);
  return Object.entries(stages).map(([stage, seconds]) => {
    const bar = element("span", { class: "stage-bar" });
    bar.style.width = `${(100 * seconds) / longest}%`;
    return element("div", {}, element("dt", {}, STAGES[stage]?.() ?? stage), element("dd", { class: "stage-line" }, element("span", { class: "number" }, milliseconds(seconds)), element("span", { class: "stage-track", "aria-hidden": "true" }, bar)));
  });
}

function milliseconds(seconds) {
  return seconds < 1 ? t("{count} ms", { count: number(seconds * 1000) }) : t("{count} s", { count: number(seconds, 1) });
}

/* Which pictures */

function choose(state) {
  for (const button of at("filters").children) button.setAttribute("aria-pressed", String(button.dataset.state === state));
  at("reason-line").hidden = true;
  at("gallery-none").hidden = true;
  gallery.filter(state ? { state } : {});
}

function chooseReason(code, title) {
  for (const button of at("filters").children) button.setAttribute("aria-pressed", String(button.dataset.state === "failed"));
  at("reason-name").textContent = title;
  at("reason-line").hidden = false;
  gallery.filter({ error_code: code });
  at("pictures-title").scrollIntoView({ behavior: "smooth" });
}

at("filters").addEventListener("click", (event) => {
  const button = event.target.closest("[data-state]");
  if (button) choose(button.dataset.state);
});
at("reason-off").addEventListener("click", () => choose(""));
at("gallery").addEventListener("filled", () => (at("gallery-none").hidden = gallery.images.length > 0));

/* What can be done */

const ACTIONS = {
  async retry() {
    await call("POST", `${path}/retry`);
    notify("info", t("The failed pictures are tried again"));
    choose("");
    watching.again();
  },
  async cancel() {
    if (!(await sure(t("Cancel this job?"), t("Pictures that are done stay; the others are left as they were."), t("Cancel the job")))) return;
    await call("POST", `${path}/cancel`);
    watching.again();
  },
  async pause() {
    await call("POST", `${path}/pause`);
    watching.again();
  },
  async resume() {
    await call("POST", `${path}/resume`);
    watching.again();
  },
  async delete() {
    if (!(await sure(t("Delete this job?"), t("Its results and its pictures leave the service for good."), t("Delete")))) return;
    watching.stop(); // nobody is to ask for it any more
    asking.abort();
    try {
      await call("DELETE", path);
    } catch (error) {
      asking = new AbortController();
      watching.again();
      throw error;
    }
    location.assign(below("/jobs"));
  },
};
for (const [id, act] of Object.entries(ACTIONS)) {
  at(id)?.addEventListener("click", async () => {
    at(id).disabled = true;
    await act().catch(notifyOf);
    at(id).disabled = false;
  });
}

/* From now on */

/** Follow the job to its end. */
async function watch(signal) {
  const last = await follow(job.id, { onJob: show, onAway: (away) => (at("away").hidden = !away), signal });
  if (last) await deliveries.show(job);
  else notify("warning", t("The job is no longer there"), t("It was deleted, or its time was over."), { lasting: true });
}

show(job);
choose("");
deliveries.show(job).catch(notifyOf);
const watching = whileSeen(watch, notifyOf);
