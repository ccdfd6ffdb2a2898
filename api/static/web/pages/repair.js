// The page that repairs one picture at a time: strokes become a mask, the service repairs, the result is the next step.
// Paint and preview are small; the files that are sent and saved keep their own bytes. The browser keeps all of it.

import { onDrop, readClipboardPicture } from "../files/incoming.js";
import { Shelf } from "../files/shelf.js";
import { Unusable } from "../files/unusable.js";
import { confirmAction } from "../frame/confirm.js";
import { buttonById, byId, dialogById, inputById, isAbort, optionalById, query } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { Problem, hasCode } from "../net/api.js";
import { awaitResult, openForRepair, openResult, repairPicture } from "../net/repairing.js";
import { brushSize, resizedValue } from "../parts/brush.js";
import { Busy } from "../parts/busy.js";
import { NetworkChoice } from "../parts/networks.js";
import { Strip } from "../parts/strip.js";
import { markTool, onToolChoice } from "../parts/toolbox.js";
import { Comparison } from "../picture/comparison.js";
import { Gestures } from "../picture/gestures.js";
import { cleanName } from "../picture/picture.js";
import { maskFile } from "../picture/runlengths.js";
import { StepList } from "../picture/steps.js";
import { View } from "../picture/view.js";
import { Work } from "../picture/work.js";
import { bytes, number, t } from "../words/texts.js";

/** @import { Statement } from "../frame/rights.js" */
/** @import { How, RepairOptions, Result, WaitOptions } from "../net/repairing.js" */
/** @import { Found } from "../parts/finding.js" */
/** @import { Bench, Tool } from "../picture/gestures.js" */
/** @import { Line, Shape, Size, Strokes } from "../picture/strokes.js" */
/** @import { Outcome, Step } from "../picture/work.js" */

/** @type {Tool[]} */
const TOOLS = ["select", "brush", "eraser", "rectangle", "lasso", "hand"];
/** @type {Partial<Record<string, Tool>>} */
const TOOL_KEYS = { s: "select", b: "brush", e: "eraser", r: "rectangle", l: "lasso", h: "hand" };
// The modules of masks, of selections and of searches are loaded when they are used first: most visits need none.
const ENLARGE = 1.4;
const { maxBytes, maxPixels, owner = "" } = byId("bench").dataset;
const limits = { bytes: Number(maxBytes), pixels: Number(maxPixels) };
const canvas = byId("canvas", HTMLCanvasElement);
const slider = inputById("size");

/** @type {Tool} */
let tool = "brush";
/** @type {Work | null} The work on the stage. */
let current = null;
/** @type {{ shapes: Shape[], size: Size, work: Work } | null} What was repaired last, offered to the next picture. */
let lastMask = null;
/** @type {string | null} */
let downloadUrl = null;
let choices = 0;
/** Whether the next Tab moves the focus instead of showing the original. */
let tabMoves = false;

const view = new View(canvas, () => { comparison.follow(); });
const busy = new Busy(view);
const networks = new NetworkChoice();
const steps = new StepList(byId("steps"), (step) => { chooseStep(step); });
const strip = new Strip({
  onChoice: reportingErrors((work) => showWork(work)),
  onPutAway: reportingErrors(putAway),
});
const shelf = new Shelf(owner, (error) => {
  console.warn("The browser does not keep the pictures.", error);
  notify("warning", t("This browser does not keep your pictures"), t("Download what you need before you leave the page."), { lasting: true });
});
const comparison = new Comparison(
  view,
  { divider: byId("divider"), range: inputById("divider-range"), labels: { before: byId("label-before"), after: byId("label-after") } },
  refresh,
);
/** @type {Bench} */
const bench = {
  get tool() {
    return tool;
  },
  get size() {
    return brushSize(Number(slider.value), view.scene.picture ?? { width: 1, height: 1 });
  },
  get comparing() {
    return comparison.active;
  },
  get locked() {
    return !current || current.repair !== null;
  },
  onShape(shape) {
    if (tool === "select" && shape.kind === "line") select(shape).catch(notifyError);
    else change((painted) => { painted.add(shape); });
  },
  onResize: resizeBrush,
  onDivide(x) {
    comparison.moveTo(x);
  },
  onNudge(direction) {
    comparison.nudge(direction);
  },
  onTouch: focusCanvas,
};
const gestures = new Gestures(canvas, view, bench);

function focusCanvas() {
  canvas.focus({ preventScroll: true });
}

/* Pictures in: each is a work of its own, and none replaces another */

/** @param {Iterable<File>} files */
async function take(files) {
  const choice = choices;
  let first = true;
  for (const file of files) {
    const work = await openFile(file);
    if (!work) continue;
    // The first one comes to the stage, unless the person has chosen another meanwhile.
    if (first && (choice === choices || !current)) await showWork(work, { isOpen: true });
    else work.close();
    first = false;
  }
}

/**
 * Open a file as a work; null where it cannot be opened, which a notice says.
 * @param {File} file
 */
async function openFile(file) {
  let closeNotice = () => {};
  try {
    const { picture, upload } = await openForRepair(file, file.name || "picture.png", limits, () => {
      closeNotice = notify("info", t("This browser cannot show the file: the service does"), t("It is sent first, and then shown as small as is needed. The result is whole."), { lasting: true });
    });
    const work = Work.begin(picture, upload);
    strip.add(work);
    keep(work, work.steps);
    if (current) strip.update(current);
    return work;
  } catch (error) {
    showError(error, file.name);
    return null;
  } finally {
    closeNotice();
  }
}

/** Bring back what the browser has kept. */
async function restore() {
  for (const { record, files } of await shelf.open()) {
    try {
      const work = await Work.restore(record, files);
      if (!work) continue;
      strip.add(work);
      if (current) work.close();
      else await showWork(work, { isOpen: true });
      if (work.leftJob) void resume(work);
    } catch (error) {
      showError(error, record.name);
    }
  }
  if (current) strip.update(current);
}

/**
 * Bring a work to the stage.
 * @param {Work} work
 * @param {{ isOpen?: boolean }} [options] `isOpen`: its previews are decoded
 */
async function showWork(work, { isOpen = false } = {}) {
  if (work === current) return;
  const choice = (choices += 1);
  if (!isOpen) await work.reopen();
  if (choice !== choices) {
    if (work !== current) work.close(); // the person has chosen another one since
    return;
  }
  const left = current;
  current = work;
  gestures.cancel();
  const { name, original: { picture: { width, height } } } = work;
  byId("start").hidden = true;
  byId("work").hidden = false;
  byId("name").textContent = name;
  byId("facts").dataset.size = `${width}x${height}`;
  byId("facts").textContent = t("{width} × {height} pixels, {size}", { width: number(width), height: number(height), size: bytes(work.bytes) });
  if (!work.isTouched) work.original.upload.begin();
  showStep();
  showBusy();
  view.fit();
  showBrush();
  focusCanvas();
  left?.close();
}

/** @param {Work} work */
async function putAway(work) {
  if (work.isTouched) {
    const sure = await confirmAction(t("Put {name} away?", { name: work.name }), t("Its steps and what is painted on it are gone from this browser."), t("Put away"));
    if (!sure) return;
  }
  const next = strip.neighbour(work, 1) ?? strip.neighbour(work, -1);
  work.repair?.controller.abort();
  shelf.forget(work.id);
  strip.remove(work);
  if (work !== current) {
    if (current) strip.update(current);
    return;
  }
  if (next) {
    await showWork(next);
    return;
  }
  choices += 1;
  current = null;
  work.close();
  view.clear();
  byId("work").hidden = true;
  byId("start").hidden = false;
  buttonById("choose").focus();
}

/**
 * @param {unknown} error
 * @param {string} [name] of the file
 */
function showError(error, name) {
  if (error instanceof Unusable) notify("error", name ? `${name}: ${error.title}` : error.title, error.message);
  else notifyError(error);
}

/** @param {Step} step */
function chooseStep(step) {
  if (!current) return;
  current.current = step;
  keep(current);
  showStep();
}

/** Show the current step of the current work. */
function showStep() {
  if (!current) return;
  const { current: step, original } = current;
  comparison.end();
  view.show(step.picture, step.strokes);
  if (downloadUrl) URL.revokeObjectURL(downloadUrl);
  downloadUrl = null;
  const download = byId("download", HTMLAnchorElement);
  download.hidden = step === original;
  if (step !== original) {
    downloadUrl = URL.createObjectURL(step.picture.blob);
    download.href = downloadUrl;
    download.download = cleanName(step.picture.name);
  }
  steps.show(current.steps, step);
  refresh();
}

/**
 * Keep a work in the browser, with the files of new steps.
 * @param {Work} work
 * @param {Step[]} [added]
 */
function keep(work, added = []) {
  shelf.keep(work.record(shelf.owner), added.map(({ id, picture: { blob, view: shown } }) => ({ id, work: work.id, blob, view: shown })));
}

/* The repair: each work has its own, and goes on while another one is on the stage */

async function erase() {
  const work = current;
  if (!work || work.repair || work.current.strokes.isEmpty) return;
  const statement = await rights.requireStatement();
  if (statement) await repairWork(work, statement);
}

/** Repair every untouched picture with the mask of the current one, one after the other. */
async function eraseAll() {
  const shapes = current?.shapesToRepeat;
  if (!current || !shapes) return;
  const size = current.original.picture;
  const statement = await rights.requireStatement();
  if (!statement) return;
  for (const work of strip.works.filter((one) => !one.isTouched)) {
    work.paint(shapes, size);
    keep(work);
    await repairWork(work, statement);
  }
}

/**
 * Repair the current step's parent once more, in the other way: recovered, or filled.
 */
async function redoOtherwise() {
  const work = current;
  const { parent, outcome } = work?.current ?? {};
  if (!work || !parent || !outcome || work.repair) return;
  const statement = await rights.requireStatement();
  if (statement) await repairWork(work, statement, { step: parent, method: otherWay(outcome) });
}

/** @param {Outcome} outcome */
function otherWay({ recovered }) {
  return recovered === null ? "recover" : "fill";
}

/**
 * Repair the painted part of a work's step.
 * @param {Work} work
 * @param {Statement} statement
 * @param {{ step?: Step, method?: "recover" | "fill" }} [how] `step`: instead of the current one
 */
async function repairWork(work, statement, { step = work.current, method } = {}) {
  if (work.repair || step.strokes.isEmpty) return;
  const { picture: { name, width, height }, strokes, upload } = step;
  const how = { ...networks.option, ...(method && { method }) };
  await repairing(work, step, how, async (options) => {
    const mask = await maskFile(strokes, width, height);
    if (!mask) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
    const attempt = () => repairPicture(upload, name, mask, statement, options);
    return attempt().catch((/** @type {unknown} */ error) => {
      if (!hasCode(error, "upload_unknown")) throw error;
      upload.renew(); // the service keeps uploads for a while only: send it again, once
      return attempt();
    });
  });
}

/**
 * Wait for the job that ran when the page was left.
 * @param {Work} work
 */
async function resume(work) {
  const job = work.leftJob;
  const step = work.steps.find(({ id }) => id === job?.step);
  work.leftJob = null;
  if (job && step) await repairing(work, step, {}, (options) => awaitResult(job, options));
}

/**
 * Run a repair of a step; its result becomes a step of the work.
 * @param {Work} work
 * @param {Step} step
 * @param {How} how
 * @param {(options: RepairOptions) => Promise<Result>} run
 */
async function repairing(work, step, how, run) {
  await atTheService(work, step, async (options) => {
    const result = await run({ ...options, how });
    const picture = await openResult(result, step.picture.name, limits);
    options.signal.throwIfAborted();
    const recovered = result.image.record.recovered ?? null;
    const added = work.add(picture, step, { method: how.method ?? "auto", recovered });
    lastMask = { shapes: step.strokes.shapes, size: step.picture, work };
    work.repair = null;
    keep(work, [added]);
    showResult(work, added);
  });
}

/**
 * Do something with a step at the service, with progress over the stage, and a way to stop it.
 * @param {Work} work
 * @param {Step} step
 * @param {(options: Omit<RepairOptions, "how">) => Promise<void>} act
 */
async function atTheService(work, step, act) {
  const controller = new AbortController();
  const { signal } = controller;
  const repair = (work.repair = /** @type {import("../picture/work.js").Repair} */ ({
    controller, step, progress: { stage: "sending", share: 0 }, away: false, job: null,
  }));
  showBusy();
  try {
    await act({
      onProgress(progress) {
        repair.progress = progress;
        if (work === current) busy.report(progress);
      },
      onWait(away) {
        repair.away = away;
        if (work === current) busy.reportAway(away);
      },
      onJob(job) {
        repair.job = job;
        keep(work);
      },
      signal,
    });
  } catch (error) {
    work.repair = null;
    if (strip.works.includes(work)) keep(work); // it may be put away by now
    if (!isAbort(error)) showError(error, strip.works.length > 1 ? work.name : "");
  } finally {
    work.repair = null;
    showBusy();
  }
}

/** Say how much of the result is the picture's own, and offer the other way. */
function showOutcome() {
  const outcome = current?.current.outcome ?? null;
  byId("outcome").hidden = !outcome || current?.repair !== null || !current.current.strokes.isEmpty;
  if (!outcome) return;
  const share = Math.round(100 * (outcome.recovered ?? 0));
  byId("outcome-text").textContent = outcome.recovered === null
    ? t("All of it is invented by the network")
    : t("Recovered {recovered} %, invented {invented} %", { recovered: number(share), invented: number(100 - share) });
  byId("outcome-other").textContent = otherWay(outcome) === "fill" ? t("Fill instead") : t("Recover instead");
  byId("outcome-other").hidden = outcome.method === "recover" && outcome.recovered === null; // it was tried
}

/**
 * @param {Work} work
 * @param {Step} added
 */
function showResult(work, added) {
  if (work === current) {
    showStep();
    comparison.begin(work.original.picture, { sweep: true });
  } else {
    added.picture.preview.close();
    notify("success", t("{name} is clean", { name: work.name }));
  }
}

/** Show the repair of the current work, or that none runs. */
function showBusy() {
  if (!current) return;
  const { repair } = current;
  const wasBusy = !byId("busy").hidden;
  if (repair) {
    gestures.cancel();
    comparison.end();
    if (!wasBusy) busy.begin();
    busy.report(repair.progress);
    if (repair.away) busy.reportAway(true);
    if (!wasBusy) byId("stop").focus({ preventScroll: true });
  } else if (wasBusy) {
    busy.end();
    focusCanvas();
  }
  refresh();
}

function stop() {
  current?.repair?.controller.abort();
}

/* The mask: found by the service, selected, of the last picture, as a file */

/** @param {File} [logo] to be found; without one the text is */
async function find(logo) {
  const work = current;
  if (!work || work.repair || comparison.active) return;
  const statement = await rights.requireStatement();
  if (!statement) return;
  const step = work.current;
  const { findLogo, findText } = await import("../parts/finding.js");
  const search = (/** @type {WaitOptions} */ options) => (logo ? findLogo(logo, step, statement, options) : findText(step, statement, options));
  await atTheService(work, step, async (options) => {
    const found = await search(options).catch((/** @type {unknown} */ error) => {
      if (!hasCode(error, "upload_unknown")) throw error;
      step.upload.renew(); // the service keeps uploads for a while only: send it again, once
      return search(options);
    });
    if (found) paintFound(work, step, found);
  });
}

/**
 * @param {Work} work
 * @param {Step} step
 * @param {Found} found
 */
function paintFound(work, step, { pixels, tell }) {
  step.strokes.add(pixels);
  keep(work);
  if (work === current) view.repaint();
  tell();
}

let selecting = false;

/**
 * Add the mark at a click or under a stroke to the mask.
 * @param {Line} line
 */
async function select(line) {
  const step = current?.current;
  if (!step || selecting) return;
  selecting = true;
  try {
    const { selectMark } = await import("../picture/selection.js");
    const pixels = await selectMark(step.picture, line);
    if (step !== current?.current) return; // another picture is on the stage by now
    if (pixels) change((painted) => { painted.add(pixels); });
    else notify("info", t("Nothing stands out here"), t("Click on the mark itself, or brush roughly over all of it."));
  } finally {
    selecting = false;
    view.repaint();
  }
}

function repeatMask() {
  if (!lastMask || !canRepeat()) return;
  const { shapes, size } = lastMask;
  current?.paint(shapes, size);
  change(() => {});
}

function canRepeat() {
  return Boolean(current && lastMask && lastMask.work !== current && !current.repair && !current.isRepaired && current.current.strokes.isEmpty);
}

async function saveMask() {
  const step = current?.current;
  if (!step) return;
  const { maskPicture } = await import("../picture/masks.js");
  save(await maskPicture(step.strokes, step.picture), step.picture.name.replace(/(\.[^.]*)?$/, "-mask.png"));
}

/** @param {File | undefined} file */
async function openMask(file) {
  const step = current?.current;
  if (!file || !step) return;
  try {
    const { readMask } = await import("../picture/masks.js");
    const pixels = await readMask(file, step.picture);
    step.strokes.add(pixels);
    change(() => {});
  } catch (error) {
    showError(error, file.name);
  }
}

/* Results out */

function saveResult() {
  const download = byId("download", HTMLAnchorElement);
  if (download.hidden) notify("info", t("There is no result to save yet"), t("Paint over the mark, then erase it."));
  else download.click();
}

async function copyResult() {
  const picture = current?.current.picture;
  if (!picture) return;
  const png = async () => {
    if (picture.blob.type === "image/png") return picture.blob;
    const whole = await createImageBitmap(picture.view ?? picture.blob);
    const copy = new OffscreenCanvas(whole.width, whole.height);
    copy.getContext("2d")?.drawImage(whole, 0, 0);
    return copy.convertToBlob({ type: "image/png" });
  };
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png() })]);
    notify("success", t("The picture is in the clipboard"));
  } catch (error) {
    console.warn(error);
    notify("info", t("The browser does not let the page write to the clipboard"), t("Download the picture instead."));
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => { URL.revokeObjectURL(link.href); }, 60_000); // the browser reads it after the click
}

/* The state of the tools */

function refresh() {
  if (!current) return;
  const { current: step, original } = current;
  const { strokes } = step;
  const locked = current.repair !== null;
  buttonById("undo").disabled = locked || !strokes.canUndo;
  buttonById("redo").disabled = locked || !strokes.canRedo;
  buttonById("clear").disabled = locked || strokes.isEmpty;
  buttonById("erase").disabled = locked || strokes.isEmpty;
  for (const button of document.querySelectorAll("#finds button")) if (button instanceof HTMLButtonElement) button.disabled = locked || comparison.active;
  showOutcome();
  buttonById("compare").disabled = locked || step === original;
  byId("again").hidden = !comparison.active;
  byId("first").hidden = locked || current.isRepaired || strokes.canUndo || strokes.canRedo;
  byId("offer").hidden = !canRepeat();
  if (lastMask) buttonById("repeat").textContent = t("Use the mask of {name}", { name: lastMask.work.name });
  buttonById("mask-save").disabled = strokes.isEmpty;
  buttonById("mask-open").disabled = locked;
  byId("copy").hidden = step === original;
  strip.update(current);
  byId("compare").setAttribute("aria-pressed", String(comparison.active));
  byId("stage").dataset.tool = comparison.active ? "divide" : locked ? "none" : tool;
  byId("steps").inert = locked;
  markTool(byId("tools"), tool, { active: !comparison.active });
  slider.disabled = !["select", "brush", "eraser"].includes(tool);
  const statement = rights.statement();
  byId("rights-line").hidden = !statement;
  if (statement) byId("rights-text").textContent = t("{name} confirmed the right to these pictures.", { name: statement.attested_by });
}

/** @param {Tool} chosen */
function chooseTool(chosen) {
  tool = chosen;
  comparison.end();
  refresh();
}

/** @param {number} factor */
function resizeBrush(factor) {
  slider.value = String(resizedValue(Number(slider.value), factor));
  showBrush();
}

function showBrush() {
  query(slider.parentElement ?? document, ".size-dot").style.scale = String(0.25 + 0.75 * (Number(slider.value) / 100));
  view.redraw();
}

function compare() {
  if (comparison.active) comparison.end();
  else if (current && current.current !== current.original) comparison.begin(current.original.picture);
}

/** @param {boolean} shown */
function peek(shown) {
  view.scene.peek = shown && current ? current.original.picture : null;
  view.redraw();
}

/** @param {number} by */
async function turnOver(by) {
  const next = current && strip.neighbour(current, by);
  if (next) await showWork(next);
}

/** @param {(painted: Strokes) => void} act */
function change(act) {
  if (!current) return;
  act(current.current.strokes);
  current.current.upload.begin();
  keep(current);
  view.repaint();
  refresh();
}

function undo() {
  change((painted) => { painted.undo(); });
}

function redo() {
  change((painted) => { painted.redo(); });
}

function clear() {
  if (current && !current.current.strokes.isEmpty) change((painted) => { painted.add({ kind: "clear" }); });
}

/* Buttons */

const enlarge = () => { view.zoom(ENLARGE); };
const reduce = () => { view.zoom(1 / ENLARGE); };
const fit = () => { view.fit(); };
const chooseFile = () => { inputById("file").click(); };
const chooseLogo = () => { inputById("logo-file").click(); };
const CLICKS = {
  choose: chooseFile,
  another: chooseFile,
  async paste() {
    const file = await readClipboardPicture();
    if (file) await take([file]);
  },
  erase,
  "erase-all": eraseAll,
  repeat: repeatMask,
  "mask-save": saveMask,
  "mask-open": () => { inputById("mask-file").click(); },
  copy: copyResult,
  "outcome-other": redoOtherwise,
  "find-logo": chooseLogo,
  stop,
  undo,
  redo,
  clear,
  compare,
  fit,
  "zoom-in": enlarge,
  "zoom-out": reduce,
  help: showKeys,
  async "rights-change"() {
    await rights.ask();
    refresh();
  },
};
optionalById("find-text")?.addEventListener("click", reportingErrors(() => find()));
for (const [id, act] of Object.entries(CLICKS)) buttonById(id).addEventListener("click", reportingErrors(act));
slider.addEventListener("input", showBrush);
onToolChoice(byId("tools"), TOOLS, chooseTool);

function showKeys() {
  dialogById("keys").showModal();
}

/* Keys: letters act while the work has the focus, so that they are free elsewhere (WCAG 2.1.4) */

/** @type {Partial<Record<string, () => unknown>>} */
const KEYS = {
  "[": () => { resizeBrush(0.8); },
  "]": () => { resizeBrush(1.25); },
  "+": enlarge,
  "=": enlarge,
  "-": reduce,
  0: fit,
  c: compare,
  m: repeatMask,
  "?": showKeys,
  pageup: () => turnOver(-1),
  pagedown: () => turnOver(1),
};
/** @type {Partial<Record<string, () => void>>} Keys that change the paint: not while a repair runs. */
const CHANGING_KEYS = { delete: clear, backspace: clear, t: () => { optionalById("find-text")?.click(); }, g: chooseLogo };

byId("work").addEventListener("keydown", (event) => {
  const act = actionOf(event);
  if (!act) return;
  event.preventDefault();
  reportingErrors(act)();
});

addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s" || !current) return;
  event.preventDefault(); // the page itself is nothing to save
  saveResult();
});

// Tab shows the original while it is held on a result. After Esc it moves the focus, so that nobody is caught.
canvas.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tabMoves = true;
  if (event.key !== "Tab" || event.shiftKey || tabMoves || !current || current.current === current.original) return;
  event.preventDefault();
  peek(true);
});
canvas.addEventListener("keyup", (event) => {
  if (event.key === "Tab") peek(false);
});
canvas.addEventListener("focus", () => { tabMoves = false; });
canvas.addEventListener("blur", () => { peek(false); });

/**
 * The action of a key, if it has one now.
 * @param {KeyboardEvent} event
 * @returns {(() => unknown) | null}
 */
function actionOf(event) {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "c") return event.target === canvas && current && current.current !== current.original ? copyResult : null;
    if (current?.repair) return null;
    if (key === "z") return event.shiftKey ? redo : undo;
    return key === "y" ? redo : null;
  }
  if (event.altKey) return null;
  if (key === "enter") return event.target === canvas ? erase : null;
  const chosen = TOOL_KEYS[key];
  if (chosen) return () => { chooseTool(chosen); };
  return KEYS[key] ?? (current?.repair ? null : CHANGING_KEYS[key]) ?? null;
}

/* Files: chosen, dropped, pasted */

inputById("file").addEventListener("change", reportingErrors(async () => {
  const files = [...(inputById("file").files ?? [])];
  inputById("file").value = "";
  await take(files);
}));
inputById("mask-file").addEventListener("change", reportingErrors(async () => {
  const file = inputById("mask-file").files?.[0];
  inputById("mask-file").value = "";
  await openMask(file);
}));
inputById("logo-file").addEventListener("change", reportingErrors(async () => {
  const file = inputById("logo-file").files?.[0];
  inputById("logo-file").value = "";
  if (file) await find(file);
}));
onDrop(byId("dropping"), (transfer) => take([...transfer.files]));
addEventListener("paste", reportingErrors((event) => take([...(event.clipboardData?.files ?? [])])));

addEventListener("beforeunload", (event) => {
  const atRisk = shelf.isWriting || (!shelf.isReliable && strip.works.some((work) => work.isTouched));
  if (atRisk) event.preventDefault(); // the browser asks
});

reportingErrors(restore)();
