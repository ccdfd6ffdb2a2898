// A new job: pictures come in and are sent at once, the mark is shown on a sample, and the rest is asked for.

import { Problem, below, call, persist } from "../net/api.js";
import { ofDrop, ofInput } from "../files/catalogue.js";
import { element, say } from "../frame/dom.js";
import { whenDropped } from "../files/incoming.js";
import { Marking } from "../parts/marking.js";
import { notify, notifyOf } from "../frame/notices.js";
import { Unusable } from "../picture/picture.js";
import * as rights from "../frame/rights.js";
import { Samples } from "../parts/samples.js";
import { Sent } from "../files/sent.js";
import { Shipment } from "../files/shipment.js";
import { secondsBetween } from "../words/states.js";
import { bytes, duration, n, number, t } from "../words/texts.js";
import { showChosen, whenChosen } from "../parts/toolbox.js";
import { upload } from "../files/upload.js";

const at = (id) => document.getElementById(id);
const { maxBytes, maxPixels, most, owner, kept } = at("new").dataset;
const PLACED = ["paint", "boxes", "file"];
const TAKEN_OFF = ["find", "template"];
const sent = new Sent(owner, Number(kept) * 900); // a tenth less than the service keeps them, in milliseconds
const remembered = sent.open();
const shipment = new Shipment(sent, { told: later, onWait: (away) => ((waiting = away), later()) });
const marking = new Marking({ bytes: Number(maxBytes), pixels: Number(maxPixels) }, refresh);
const samples = new Samples(shipment, marking);
let waiting = false; // the service is away
let wayIn = "files";
let gathered = 0; // choices of files that are still being read
let starting = null; // {key} of a submission that is under way
let pace = null; // pictures a second, as the last jobs had it
let asked = false;
let placed = false; // the anchor was chosen by hand

/* Pictures in */

async function take(gathering) {
  gathered += 1;
  try {
    const [{ files, leftOut }] = await Promise.all([gathering, remembered]);
    if (files.length + shipment.files.length > Number(most)) {
      notify("error", t("Too many pictures for one job"), t("A job may have {count}.", { count: number(Number(most)) }));
      return;
    }
    if (!files.length) notify("warning", t("There is no picture in it"), t("Pictures are known by their names: JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, HEIC."));
    shipment.add(files);
    at("known").hidden = true;
    at("left-out").hidden = !leftOut;
    at("left-out").textContent = n("1 file is no picture and was left out.", "{count} files are no pictures and were left out.", leftOut);
    if (!marking.sample) samples.show().catch(notifyOf);
  } catch (error) {
    notifyOf(error);
  } finally {
    gathered -= 1;
    refresh();
  }
}

async function anotherSample() {
  if (shipment.files.length > 1 && wayIn === "files") {
    await samples.next().catch(notifyOf);
  } else {
    at("sample-input").click();
  }
}

/* How it is */

function later() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    refresh();
  });
}

function refresh() {
  showShipment();
  showMarking();
  samples.showSent();
  const missing = missingNow();
  at("start").disabled = Boolean(missing) || starting !== null;
  say(at("missing"), starting ? "" : missing ?? "");
  say(at("start-text"), starting ? (shipped() ? t("Handing over…") : t("Waiting until all is sent…")) : t("Clean the pictures"));
  const stated = rights.statement();
  at("rights-line").hidden = !stated;
  if (stated) say(at("rights-text"), t("{name} answers for it.", { name: stated.attested_by }));
  showEstimate();
  if (starting && !starting.handing && shipped()) hand();
}

function showShipment() {
  const { files, paused } = shipment;
  at("shipment").hidden = files.length === 0;
  for (const id of ["choose-folder", "choose-files", "ship-clear"]) at(id).disabled = Boolean(starting?.handing);
  if (!files.length) return;
  const { total, done, count, failed, left, whole } = shipment.figures;
  at("shipment").querySelector("progress").value = total ? done / total : 1;
  at("ship-pause").hidden = paused || whole || failed.length + count === files.length;
  at("ship-resume").hidden = !(paused || (failed.length && failed.length + count === files.length));
  say(at("shipment-text"), [
    t("{done} of {total} pictures sent, {size}", { done: number(count), total: number(files.length), size: bytes(total) }),
    waiting ? t("the service does not answer, trying again…") : paused ? t("paused") : whole ? "" : left ? t("{time} left", { time: duration(left) }) : "",
  ].filter(Boolean).join(" · "));
  at("ship-failed").hidden = failed.length === 0;
  at("ship-failed").replaceChildren(...failed.slice(0, 5).map((file) => element("li", { class: "reason" }, element("div", {}, element("p", { class: "notice-title" }, file.path), element("p", { lang: "en" }, file.error.message)))));
}

function showMarking() {
  const { way } = marking;
  at("marking").hidden = !marking.onSample;
  for (const part of document.querySelectorAll("[data-marks]")) part.hidden = part.dataset.marks !== way;
  at("residual-line").hidden = !TAKEN_OFF.includes(way);
  at("placing").hidden = !PLACED.includes(way);
  at("stage").dataset.tool = marking.tool;
  at("undo").disabled = !marking.canUndo;
  showChosen(at("tools"), marking.tool);
  for (const button of at("tools").children) button.hidden = marking.boxed && ["brush", "eraser"].includes(button.dataset.tool);
  at("size").disabled = !["brush", "eraser"].includes(marking.tool);
  if (!placed && way === "boxes" && marking.nearest) at("anchor").value = marking.nearest;
  at("scale").disabled = !at("anchor").value;
}

/** What is still to be done before it can be handed over; null where nothing is. */
function missingNow() {
  if (wayIn === "files" && !shipment.files.length) return t("Still missing: the pictures.");
  if (wayIn === "manifest" && !at("manifest").files.length) return t("Still missing: the list.");
  if (wayIn === "folder" && !at("s3-folder").value.trim().startsWith("s3://")) return t("Still missing: the folder, as s3://bucket/folder/.");
  return marking.missing;
}

function shipped() {
  if (wayIn !== "files") return true;
  const { failed, count } = shipment.figures;
  return !gathered && failed.length + count === shipment.files.length && count > 0;
}

function showEstimate() {
  const count = shipment.files.length;
  const parts = [];
  if (wayIn === "files" && count && pace) parts.push(t("About {time} of work, at the pace of the last jobs", { time: duration(count / pace) }));
  const left = wayIn === "files" && count && !shipment.paused && !shipped() ? shipment.figures.left : null;
  if (left) parts.push(t("{time} of sending", { time: duration(left) }));
  say(at("estimate"), parts.join(", "));
}

async function learnPace() {
  const { data } = await call("GET", "/v1/jobs?state=completed&limit=20");
  const known = data.filter((job) => job.started_at && job.total >= 3);
  const seconds = known.reduce((sum, job) => sum + secondsBetween(job.started_at, job.finished_at), 0);
  const images = known.reduce((sum, job) => sum + job.total, 0);
  pace = seconds > 0 ? images / seconds : null;
  refresh();
}

/* Handing over */

async function start() {
  if (!(await rights.required())) return;
  if (shipment.paused) shipment.resume();
  starting = { key: crypto.randomUUID(), handing: false };
  refresh();
}

async function hand() {
  starting.handing = true;
  refresh();
  try {
    const body = await bodyNow();
    if (!body) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
    const job = await persist("POST", "/v1/jobs", { body, headers: { "Idempotency-Key": starting.key }, onWait: (away) => ((waiting = away), later()) });
    sent.forget(shipment.files);
    location.assign(below(`/jobs/${job.id}`));
  } catch (error) {
    starting = null;
    if (error.code === "upload_unknown" && wayIn === "files") {
      // What was sent long ago is no longer kept: send it again, then hand over.
      shipment.renew();
      starting = { key: crypto.randomUUID(), handing: false };
    } else {
      tell(error);
    }
    refresh();
  }
}

async function bodyNow() {
  const place = at("anchor").value ? { anchor: at("anchor").value, scale: at("scale").value } : {};
  const mask = await marking.asked(place);
  if (!mask) return null;
  const webhook = at("webhook")?.value;
  return {
    ...(await picturesNow()),
    ...mask,
    options: {
      ...(at("output").value && { output: at("output").value }),
      ...(at("label").checked && { label: true }),
      ...(TAKEN_OFF.includes(marking.way) && at("residual").checked && { residual_mark: "flag" }),
    },
    priority: at("priority").value,
    ...(webhook && { webhook_id: webhook }),
    ...rights.statement(),
  };
}

async function picturesNow() {
  if (wayIn === "folder") return { folder: at("s3-folder").value.trim() };
  if (wayIn === "manifest") {
    const [file] = at("manifest").files;
    return { manifest: { upload_id: await upload(file.name, file), on_error: at("skip-bad").checked ? "skip" : "reject" } };
  }
  const images = shipment.files.filter((file) => file.id).map(({ id, path }) => ({
    upload_id: id, name: path.split("/").at(-1), ...(path.includes("/") && path.length <= 200 && { custom_id: path }),
  }));
  return { images };
}

function tell(error) {
  const faults = error.errors ?? [];
  at("faults").hidden = !faults.length;
  if (!faults.length) {
    notifyOf(error);
    return;
  }
  at("faults-title").textContent = t(error.title);
  at("faults-list").replaceChildren(...faults.slice(0, 20).map(({ line, pointer, detail }) => {
    const place = line ? t("line {count}", { count: number(line) }) : pointer;
    return element("li", {}, place ? `${place}: ` : "", element("span", { lang: "en" }, detail));
  }));
  at("faults").scrollIntoView({ block: "center" });
}

/* Buttons, choices, drops */

const CLICKS = {
  "choose-folder": () => at("folder-input").click(), "choose-files": () => at("files-input").click(), "choose-sample": () => at("sample-input").click(),
  "other-sample": anotherSample, "ship-pause": () => shipment.pause(), "ship-resume": () => shipment.resume(), start,
  "ship-clear": () => (sent.forget(shipment.files), shipment.clear()),
  "known-forget": () => (sent.forget(), (at("known").hidden = true)), "rights-change": async () => (await rights.ask(), refresh()),
};
for (const [id, act] of Object.entries(CLICKS)) at(id).addEventListener("click", act);
for (const id of ["folder-input", "files-input"]) {
  const chosen = () => {
    const gathering = ofInput(at(id).files);
    at(id).value = "";
    take(gathering);
  };
  at(id).addEventListener("change", chosen);
  if (at(id).files.length) chosen(); // before this script was there
}
at("sample-input").addEventListener("change", async () => {
  const [file] = at("sample-input").files;
  if (file) await samples.showOther(file).catch((error) => (error instanceof Unusable ? notify("error", error.title, error.message) : notifyOf(error)));
});
at("mask-file").addEventListener("change", () => {
  marking.file = at("mask-file").files[0] ?? null;
  refresh();
});
for (const id of ["manifest", "s3-folder"]) at(id).addEventListener("input", refresh);
at("anchor").addEventListener("change", () => {
  placed = true;
  refresh();
});
at("ways-in").addEventListener("change", (event) => {
  wayIn = event.target.value;
  showWayIn();
});
at("ways-of-marking").addEventListener("change", (event) => {
  marking.turn(event.target.value);
  if (marking.way === "template") marking.templates.load().catch(notifyOf);
});
whenChosen(at("tools"), (tool) => (marking.tool = tool));
whenDropped(at("dropping"), (transfer) => wayIn === "files" && !starting?.handing && take(ofDrop(transfer)));
addEventListener("beforeunload", (event) => {
  if (wayIn === "files" && shipment.files.length && !shipped() && !starting?.handing) event.preventDefault();
});

/** The parts of the way in that is chosen; only a list can name masks. */
function showWayIn() {
  for (const part of document.querySelectorAll("[data-way-in]")) part.hidden = part.dataset.wayIn !== wayIn;
  const ofList = at("ways-of-marking").querySelector('[data-way="list"]');
  ofList.hidden = wayIn !== "manifest";
  if (ofList.hidden && marking.way === "list") at("ways-of-marking").querySelector('[value="paint"]').click();
  refresh();
}

await remembered;
at("known").hidden = sent.count === 0 || shipment.files.length > 0;
at("known-text").textContent = n(
  "1 picture was sent before the page was left. Choose the same folder again: only what is missing is sent.",
  "{count} pictures were sent before the page was left. Choose the same folder again: only what is missing is sent.",
  sent.count,
);
showWayIn();
learnPace().catch(notifyOf);
