// The page of a new job: pictures are sent as soon as they come in, a person shows the mark on a sample, then options.

import { catalogueOfDrop, catalogueOfFiles } from "../files/catalogue.js";
import { onDrop } from "../files/incoming.js";
import { UploadMemory } from "../files/memory.js";
import { UploadQueue } from "../files/queue.js";
import { uploadFile } from "../files/upload.js";
import { buttonById, byId, childrenOf, createElement, inputById, optionalById, query, selectById, setText } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { Problem, callApi, callPatiently, hasCode } from "../net/api.js";
import { below } from "../net/below.js";
import { Marking, WAYS } from "../parts/marking.js";
import { Samples } from "../parts/samples.js";
import { markTool, onToolChoice } from "../parts/toolbox.js";
import { Unusable } from "../files/unusable.js";
import { faultText } from "../words/faults.js";
import { sentenceOf } from "../words/reasons.js";
import { secondsBetween } from "../words/states.js";
import { bytes, duration, language, n, number, t } from "../words/texts.js";

/** @import { Catalogue } from "../files/catalogue.js" */
/** @import { Job, Page } from "../net/answers.js" */
/** @import { Tool } from "../picture/gestures.js" */

const SOURCES = /** @type {const} */ (["files", "manifest", "folder"]);
/** @type {Tool[]} */
const TOOLS = ["brush", "eraser", "rectangle", "hand"];
const PLACED_WAYS = ["paint", "boxes", "file"];
const MOST_SHOWN_FAILURES = 5;
const MOST_SHOWN_FAULTS = 20;
const LONGEST_CUSTOM_ID = 200;
const SAFETY = 0.9; // uploads are used up to this share of the time that the service keeps them

const { maxBytes, maxPixels, most = "", owner = "", kept } = byId("new").dataset;
const memory = new UploadMemory(owner, Number(kept) * 1000 * SAFETY);
const memoryOpened = memory.open();
const queue = new UploadQueue(memory, { onChange: scheduleRefresh, onWait: showAway });
const marking = new Marking({ bytes: Number(maxBytes), pixels: Number(maxPixels) }, refresh);
const samples = new Samples(queue, marking);
let away = false; // the service is
/** @type {typeof SOURCES[number]} */
let source = "files";
let reading = 0; // choices of files that are being read
/** @type {{ key: string, submitting: boolean } | null} A submission that waits for uploads, or is on its way. */
let submission = null;
/** @type {number | null} Pictures a second of recent jobs. */
let pace = null;
let refreshScheduled = false;
let anchorChosen = false; // by hand

/* Pictures in */

/** @param {Promise<Catalogue>} catalogue */
async function take(catalogue) {
  reading += 1;
  try {
    const [{ files, leftOut }] = await Promise.all([catalogue, memoryOpened]);
    if (files.length + queue.files.length > Number(most)) {
      notify("error", t("Too many pictures for one job"), t("A job may have {count}.", { count: number(Number(most)) }));
      return;
    }
    if (!files.length) notify("warning", t("There is no picture in it"), t("Pictures are known by their names: JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, HEIC."));
    queue.add(files);
    byId("known").hidden = true;
    byId("left-out").hidden = !leftOut;
    byId("left-out").textContent = n("1 file is no picture and was left out.", "{count} files are no pictures and were left out.", leftOut);
    if (!marking.sample) samples.show().catch(notifyError);
  } finally {
    reading -= 1;
    refresh();
  }
}

async function showAnotherSample() {
  if (queue.files.length > 1 && source === "files") await samples.showNext();
  else inputById("sample-input").click();
}

/** @param {File} file */
async function showSample(file) {
  try {
    await samples.showOther(file);
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    notify("error", error.title, error.message);
  }
}

/* The state of the page */

/** @param {boolean} waiting */
function showAway(waiting) {
  away = waiting;
  scheduleRefresh();
}

function scheduleRefresh() {
  if (refreshScheduled) return;
  refreshScheduled = true;
  requestAnimationFrame(() => {
    refreshScheduled = false;
    refresh();
  });
}

function refresh() {
  showQueue();
  showMarking();
  samples.showSent();
  const missing = missingText();
  buttonById("start").disabled = Boolean(missing) || submission !== null;
  setText(byId("missing"), submission ? "" : (missing ?? ""));
  setText(byId("start-text"), startText());
  const statement = rights.statement();
  byId("rights-line").hidden = !statement;
  if (statement) setText(byId("rights-text"), t("{name} confirmed the right to these pictures.", { name: statement.attested_by }));
  showEstimate();
  if (submission && !submission.submitting && isSent()) submit(submission).catch(notifyError);
}

function startText() {
  if (!submission) return t("Clean the pictures");
  return isSent() ? t("Handing over…") : t("Waiting until all is sent…");
}

function showQueue() {
  const { files, paused } = queue;
  byId("shipment").hidden = files.length === 0;
  for (const id of ["choose-folder", "choose-files", "ship-clear"]) buttonById(id).disabled = submission?.submitting === true;
  if (!files.length) return;
  const { total, sent, count, failed, secondsLeft, complete } = queue.figures;
  const settled = failed.length + count === files.length;
  query(byId("shipment"), "progress", HTMLProgressElement).value = total ? sent / total : 1;
  byId("ship-pause").hidden = paused || complete || settled;
  byId("ship-resume").hidden = !paused && !(failed.length && settled);
  const progress = t("{done} of {total} pictures sent, {size}", { done: number(count), total: number(files.length), size: bytes(total) });
  setText(byId("shipment-text"), [progress, queueNote(complete, secondsLeft)].filter(Boolean).join(" · "));
  byId("ship-failed").hidden = failed.length === 0;
  byId("ship-failed").replaceChildren(...failed.slice(0, MOST_SHOWN_FAILURES).map(failureRow));
}

/**
 * @param {boolean} complete
 * @param {number | null} secondsLeft
 */
function queueNote(complete, secondsLeft) {
  if (away) return t("the service does not answer, trying again…");
  if (queue.paused) return t("paused");
  return !complete && secondsLeft ? t("{time} left", { time: duration(secondsLeft) }) : "";
}

/** @param {{ path: string, error: unknown }} file */
function failureRow({ path, error }) {
  const detail = error instanceof Problem ? sentenceOf(error) : error instanceof Error ? error.message : String(error);
  const lines = [createElement("p", { class: "notice-title" }, path), createElement("p", {}, detail)];
  return createElement("li", { class: "reason" }, createElement("div", {}, ...lines));
}

function showMarking() {
  const { way } = marking;
  byId("marking").hidden = !marking.drawsOnSample;
  for (const part of partsWith("marks")) part.hidden = part.dataset.marks !== way;
  byId("residual-line").hidden = !marking.isLookedFor;
  byId("placing").hidden = !PLACED_WAYS.includes(way) || marking.isLookedFor;
  byId("stage").dataset.tool = marking.tool;
  buttonById("undo").disabled = !marking.canUndo;
  markTool(byId("tools"), marking.tool);
  for (const button of childrenOf(byId("tools"))) button.hidden = marking.drawsBoxes && isBrush(button.dataset.tool);
  inputById("size").disabled = !isBrush(marking.tool);
  const nearest = marking.nearestAnchor;
  if (!anchorChosen && way === "boxes" && nearest) selectById("anchor").value = nearest;
  selectById("scale").disabled = !selectById("anchor").value;
}

/** @param {string | undefined} tool */
function isBrush(tool) {
  return tool === "brush" || tool === "eraser";
}

/**
 * The parts of the page that depend on a choice: `data-marks` or `data-way-in`.
 * @param {"marks" | "way-in"} choice
 */
function partsWith(choice) {
  return [...document.querySelectorAll(`[data-${choice}]`)].filter((part) => part instanceof HTMLElement);
}

/** The next thing that the person has to do; null where nothing is missing. */
function missingText() {
  if (source === "files" && !queue.files.length) return t("Still missing: the pictures.");
  if (source === "manifest" && !inputById("manifest").files?.length) return t("Still missing: the list.");
  if (source === "folder" && !inputById("s3-folder").value.trim().startsWith("s3://")) return t("Still missing: the folder, as s3://bucket/folder/.");
  return marking.missing;
}

/** Whether nothing is left to send: all files are sent or have failed. */
function isSent() {
  if (source !== "files") return true;
  const { failed, count } = queue.figures;
  return !reading && failed.length + count === queue.files.length && count > 0;
}

function showEstimate() {
  const count = queue.files.length;
  /** @type {string[]} */
  const parts = [];
  if (source === "files" && count) {
    const { secondsLeft } = queue.figures;
    if (pace) parts.push(t("About {time} of work, at the pace of the last jobs", { time: duration(count / pace) }));
    if (secondsLeft && !queue.paused && !isSent()) parts.push(t("{time} of sending", { time: duration(secondsLeft) }));
  }
  setText(byId("estimate"), parts.join(", "));
}

async function fetchPace() {
  const { data } = /** @type {Page<Job>} */ (await callApi("GET", "/v1/jobs?state=completed&limit=20"));
  let [seconds, images] = [0, 0];
  for (const { started_at, finished_at, total } of data) {
    if (!started_at || total < 3) continue;
    seconds += secondsBetween(started_at, finished_at);
    images += total;
  }
  pace = seconds > 0 ? images / seconds : null;
  refresh();
}

/* Submission */

async function start() {
  if (!(await rights.requireStatement())) return;
  if (queue.paused) queue.resume();
  submission = newSubmission();
  refresh();
}

function newSubmission() {
  return { key: crypto.randomUUID(), submitting: false };
}

/** @param {{ key: string, submitting: boolean }} current */
async function submit(current) {
  current.submitting = true;
  refresh();
  try {
    const body = await bodyOfJob();
    if (!body) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
    const headers = { "Idempotency-Key": current.key };
    const job = /** @type {Job} */ (await callPatiently("POST", "/v1/jobs", { body, headers, onWait: showAway }));
    memory.forget(queue.files);
    location.assign(below(`/jobs/${job.id}`));
  } catch (error) {
    submission = null;
    if (hasCode(error, "upload_unknown") && source === "files") {
      // The service keeps uploads for a while only: send the files again, then submit.
      queue.renew();
      submission = newSubmission();
    } else {
      showError(error);
    }
    refresh();
  }
}

async function bodyOfJob() {
  const anchor = selectById("anchor").value;
  const mark = await marking.body(anchor ? { anchor, scale: selectById("scale").value } : {});
  if (!mark) return null;
  const output = selectById("output").value;
  const webhook = optionalById("webhook", HTMLSelectElement)?.value;
  const to = optionalById("mail", HTMLInputElement)?.value.trim();
  return {
    ...(await picturesOfJob()),
    ...mark,
    options: {
      ...(output && { output }),
      ...(inputById("label").checked && { label: true }),
      ...(marking.isLookedFor && inputById("residual").checked && { residual_mark: "flag" }),
    },
    priority: selectById("priority").value,
    ...(webhook && { webhook_id: webhook }),
    ...(to && { mail: { to, language } }),
    ...rights.statement(),
  };
}

async function picturesOfJob() {
  if (source === "folder") return { folder: inputById("s3-folder").value.trim() };
  const list = inputById("manifest").files?.[0];
  if (source === "manifest" && list) {
    return { manifest: { upload_id: await uploadFile(list.name, list), on_error: inputById("skip-bad").checked ? "skip" : "reject" } };
  }
  return { images: queue.files.filter((file) => file.id).map(imageOfJob) };
}

/** @param {{ id: string | null, path: string }} file */
function imageOfJob({ id, path }) {
  const inFolder = path.includes("/") && path.length <= LONGEST_CUSTOM_ID;
  return { upload_id: id, name: path.split("/").at(-1), ...(inFolder && { custom_id: path }) };
}

/** @param {unknown} error */
function showError(error) {
  const faults = error instanceof Problem ? error.errors : [];
  byId("faults").hidden = !faults.length;
  if (!(error instanceof Problem) || !faults.length) {
    notifyError(error);
    return;
  }
  byId("faults-title").textContent = t(error.title);
  byId("faults-list").replaceChildren(...faults.slice(0, MOST_SHOWN_FAULTS).map((fault) => {
    const place = fault.line ? t("line {count}", { count: number(fault.line) }) : fault.pointer;
    return createElement("li", {}, place ? `${place}: ` : "", createElement("span", {}, faultText(fault)));
  }));
  byId("faults").scrollIntoView({ block: "center" });
}

/* Buttons, choices, drops */

const CLICKS = {
  "choose-folder"() {
    inputById("folder-input").click();
  },
  "choose-files"() {
    inputById("files-input").click();
  },
  "choose-sample"() {
    inputById("sample-input").click();
  },
  "other-sample": showAnotherSample,
  "ship-pause"() {
    queue.pause();
  },
  "ship-resume"() {
    queue.resume();
  },
  "ship-clear"() {
    memory.forget(queue.files);
    queue.clear();
  },
  "known-forget"() {
    memory.forgetAll();
    byId("known").hidden = true;
  },
  async "rights-change"() {
    await rights.ask();
    refresh();
  },
  start,
};
for (const [id, act] of Object.entries(CLICKS)) buttonById(id).addEventListener("click", reportingErrors(act));
for (const id of ["folder-input", "files-input"]) {
  const input = inputById(id);
  const takeChosen = reportingErrors(async () => {
    const catalogue = catalogueOfFiles([...(input.files ?? [])]);
    input.value = "";
    await take(catalogue);
  });
  input.addEventListener("change", takeChosen);
  if (input.files?.length) takeChosen(); // chosen before this script ran
}
inputById("sample-input").addEventListener("change", reportingErrors(async () => {
  const file = inputById("sample-input").files?.[0];
  inputById("sample-input").value = ""; // the same file can be chosen again
  if (file) await showSample(file);
}));
inputById("mask-file").addEventListener("change", () => {
  marking.file = inputById("mask-file").files?.[0] ?? null;
  refresh();
});
for (const id of ["manifest", "s3-folder"]) inputById(id).addEventListener("input", refresh);
inputById("paint-find").addEventListener("change", refresh);
selectById("anchor").addEventListener("change", () => {
  anchorChosen = true;
  refresh();
});
byId("ways-in").addEventListener("change", ({ target }) => {
  source = SOURCES.find((name) => target instanceof HTMLInputElement && target.value === name) ?? source;
  showSource();
});
byId("ways-of-marking").addEventListener("change", reportingErrors(async ({ target }) => {
  marking.choose(WAYS.find((name) => target instanceof HTMLInputElement && target.value === name) ?? marking.way);
  if (marking.way === "template") await marking.templates.load();
}));
onToolChoice(byId("tools"), TOOLS, (tool) => {
  marking.tool = tool;
});
onDrop(byId("dropping"), async (transfer) => {
  if (source === "files" && !submission?.submitting) await take(catalogueOfDrop(transfer));
});
addEventListener("beforeunload", (event) => {
  if (source === "files" && queue.files.length && !isSent() && !submission?.submitting) event.preventDefault();
});

/** Show the parts of the chosen source; only a list can name masks. */
function showSource() {
  for (const part of partsWith("way-in")) part.hidden = part.dataset.wayIn !== source;
  const masksOfList = query(byId("ways-of-marking"), '[data-way="list"]');
  masksOfList.hidden = source !== "manifest";
  if (masksOfList.hidden && marking.way === "list") query(byId("ways-of-marking"), '[value="paint"]').click();
  refresh();
}

await memoryOpened;
byId("known").hidden = memory.count === 0 || queue.files.length > 0;
byId("known-text").textContent = n(
  "1 picture was sent before the page was left. Choose the same folder again: only what is missing is sent.",
  "{count} pictures were sent before the page was left. Choose the same folder again: only what is missing is sent.",
  memory.count,
);
showSource();
fetchPace().catch(notifyError);
