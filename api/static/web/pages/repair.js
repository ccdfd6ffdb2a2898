// The page that repairs one picture: strokes become a mask, the service repairs, the result is the next picture. Paint
// and preview are small; the files that are sent and saved keep their own bytes.

import { onDrop, readClipboardPicture } from "../files/incoming.js";
import { buttonById, byId, dialogById, inputById, query } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { Problem, hasCode, latestOnly } from "../net/api.js";
import { BackgroundUpload, openForRepair, openResult, repairPicture } from "../net/repairing.js";
import { brushSize, resizedValue } from "../parts/brush.js";
import { Busy } from "../parts/busy.js";
import { markTool, onToolChoice } from "../parts/toolbox.js";
import { Comparison } from "../picture/comparison.js";
import { Gestures } from "../picture/gestures.js";
import { Unusable, cleanName } from "../picture/picture.js";
import { maskFile } from "../picture/runlengths.js";
import { Steps } from "../picture/steps.js";
import { Strokes } from "../picture/strokes.js";
import { View } from "../picture/view.js";
import { bytes, number, t } from "../words/texts.js";

/** @import { Statement } from "../frame/rights.js" */
/** @import { Bench, Tool } from "../picture/gestures.js" */
/** @import { Picture } from "../picture/picture.js" */
/** @typedef {{ picture: Picture, upload: BackgroundUpload }} Step */

/** @type {Tool[]} */
const TOOLS = ["brush", "eraser", "rectangle", "lasso", "hand"];
/** @type {Partial<Record<string, Tool>>} */
const TOOL_KEYS = { b: "brush", e: "eraser", r: "rectangle", l: "lasso", h: "hand" };
const ENLARGE = 1.4;
const { maxBytes, maxPixels } = byId("bench").dataset;
const limits = { bytes: Number(maxBytes), pixels: Number(maxPixels) };
const canvas = byId("canvas", HTMLCanvasElement);
const slider = inputById("size");

/** @type {Tool} */
let tool = "brush";
let strokes = new Strokes();
/** @type {AbortController | null} Of the repair that runs. */
let repair = null;
/** @type {string | null} */
let downloadUrl = null;

const view = new View(canvas, () => { comparison.follow(); });
const busy = new Busy(view);
const steps = /** @type {Steps<Step>} */ (new Steps(byId("steps"), showStep));
const latest = latestOnly();
const comparison = new Comparison(
  view,
  { divider: byId("divider"), range: inputById("divider-range"), labels: [byId("label-before"), byId("label-after")] },
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
    return repair !== null;
  },
  onShape(shape) {
    change((painted) => { painted.add(shape); });
  },
  onResize: resizeBrush,
  onDivide(x) {
    comparison.moveTo(x);
  },
  onTouch: focusCanvas,
};
const gestures = new Gestures(canvas, view, bench);

function focusCanvas() {
  canvas.focus({ preventScroll: true });
}

/* Pictures in */

/** @param {File | null | undefined} file */
async function take(file) {
  if (!file) return;
  stop();
  let closeNotice = () => {};
  try {
    const step = await latest(openForRepair(file, file.name || "picture.png", limits, () => {
      closeNotice = notify("info", t("This browser cannot show the file: the service does"), t("It is sent first, and then shown as small as is needed. The result is whole."), { lasting: true });
    }));
    if (!step) return; // the person has chosen another picture since
    stop(); // a repair of the picture before may have begun meanwhile
    begin(step, file.size);
  } catch (error) {
    showError(error);
  } finally {
    closeNotice();
  }
}

/**
 * @param {Step} step
 * @param {number} size of the file
 */
function begin(step, size) {
  const { name, width, height } = step.picture;
  byId("start").hidden = true;
  byId("work").hidden = false;
  byId("name").textContent = name;
  byId("facts").dataset.size = `${width}x${height}`;
  byId("facts").textContent = t("{width} × {height} pixels, {size}", { width: number(width), height: number(height), size: bytes(size) });
  steps.begin(step);
  view.fit();
  showBrush();
  focusCanvas();
}

/** @param {unknown} error */
function showError(error) {
  if (error instanceof Unusable) notify("error", error.title, error.message);
  else notifyError(error);
}

/** @param {Step} step */
function showStep(step) {
  const { picture } = step;
  comparison.end();
  strokes = new Strokes();
  view.show(picture, strokes);
  if (downloadUrl) URL.revokeObjectURL(downloadUrl);
  downloadUrl = null;
  const download = byId("download", HTMLAnchorElement);
  download.hidden = step === steps.original;
  if (step !== steps.original) {
    downloadUrl = URL.createObjectURL(picture.blob);
    download.href = downloadUrl;
    download.download = cleanName(picture.name);
  }
  refresh();
}

/* The repair */

async function erase() {
  if (repair || !steps.current || strokes.isEmpty) return;
  const statement = await rights.requireStatement();
  const { current: step, original } = steps;
  if (!statement || !original) return;
  const { signal } = (repair = new AbortController());
  gestures.cancel();
  comparison.end();
  refresh();
  busy.begin();
  byId("stop").focus({ preventScroll: true });
  try {
    await repairStep(step, statement, signal);
    comparison.begin(original.picture, { sweep: true });
  } catch (error) {
    showError(error);
  } finally {
    repair = null;
    busy.end();
    focusCanvas();
    refresh();
  }
}

/**
 * Repair the painted part of a step's picture and add the result as the next step.
 * @param {Step} step
 * @param {Statement} statement
 * @param {AbortSignal} signal
 */
async function repairStep({ picture: source, upload }, statement, signal) {
  const mask = await maskFile(strokes, source.width, source.height);
  if (!mask) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
  const options = {
    onProgress: busy.report.bind(busy),
    onWait: busy.reportAway.bind(busy),
    signal,
  };
  const attempt = () => repairPicture(upload, source.name, mask, statement, options);
  const result = await attempt().catch((/** @type {unknown} */ error) => {
    if (!hasCode(error, "upload_unknown")) throw error;
    upload.renew(); // the service keeps uploads for a while only: send it again, once
    return attempt();
  });
  const picture = await openResult(result, source.name, limits);
  signal.throwIfAborted(); // the steps may be another picture's by now
  steps.add({ picture, upload: new BackgroundUpload(picture) });
  const { recovered } = result.image.record;
  if (typeof recovered !== "number") return;
  const share = Math.round(100 * recovered);
  notify("info", t("Recovered {recovered} %, invented {invented} %", { recovered: number(share), invented: number(100 - share) }));
}

function stop() {
  repair?.abort();
}

/* The state of the tools */

function refresh() {
  const { current, original } = steps;
  if (!current) return;
  const locked = repair !== null;
  buttonById("undo").disabled = locked || !strokes.canUndo;
  buttonById("redo").disabled = locked || !strokes.canRedo;
  buttonById("clear").disabled = locked || strokes.isEmpty;
  buttonById("erase").disabled = locked || strokes.isEmpty;
  buttonById("compare").disabled = locked || current === original;
  byId("again").hidden = !comparison.active;
  byId("first").hidden = locked || steps.count > 1 || strokes.canUndo || strokes.canRedo;
  byId("compare").setAttribute("aria-pressed", String(comparison.active));
  byId("stage").dataset.tool = comparison.active ? "divide" : locked ? "none" : tool;
  byId("steps").inert = locked;
  markTool(byId("tools"), tool, { active: !comparison.active });
  slider.disabled = !["brush", "eraser"].includes(tool);
  const statement = rights.statement();
  byId("rights-line").hidden = !statement;
  if (statement) byId("rights-text").textContent = t("{name} answers for it.", { name: statement.attested_by });
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
  const { current, original } = steps;
  if (comparison.active) comparison.end();
  else if (original && current !== original) comparison.begin(original.picture);
}

/** @param {(painted: Strokes) => void} act */
function change(act) {
  act(strokes);
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
  if (!strokes.isEmpty) change((painted) => { painted.add({ kind: "clear" }); });
}

/* Buttons */

const enlarge = () => { view.zoom(ENLARGE); };
const reduce = () => { view.zoom(1 / ENLARGE); };
const fit = () => { view.fit(); };
const chooseFile = () => { inputById("file").click(); };
const CLICKS = {
  choose: chooseFile,
  another: chooseFile,
  async paste() {
    await take(await readClipboardPicture());
  },
  erase,
  stop,
  undo,
  redo,
  clear,
  compare,
  fit,
  "zoom-in": enlarge,
  "zoom-out": reduce,
  help() {
    dialogById("keys").showModal();
  },
  async "rights-change"() {
    await rights.ask();
    refresh();
  },
};
for (const [id, act] of Object.entries(CLICKS)) buttonById(id).addEventListener("click", reportingErrors(act));
slider.addEventListener("input", showBrush);
onToolChoice(byId("tools"), TOOLS, chooseTool);

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
};
/** @type {Partial<Record<string, () => void>>} Keys that change the strokes: not while a repair runs. */
const CHANGING_KEYS = { delete: clear, backspace: clear };

byId("work").addEventListener("keydown", (event) => {
  const act = actionOf(event);
  if (!act) return;
  event.preventDefault();
  reportingErrors(act)();
});

/**
 * The action of a key, if it has one now.
 * @param {KeyboardEvent} event
 * @returns {(() => unknown) | null}
 */
function actionOf(event) {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (repair) return null;
    if (key === "z") return event.shiftKey ? redo : undo;
    return key === "y" ? redo : null;
  }
  if (event.altKey) return null;
  if (key === "enter") return event.target === canvas ? erase : null;
  const chosen = TOOL_KEYS[key];
  if (chosen) return () => { chooseTool(chosen); };
  return KEYS[key] ?? (repair ? null : CHANGING_KEYS[key]) ?? null;
}

/* Files: chosen, dropped, pasted */

inputById("file").addEventListener("change", reportingErrors(async () => {
  const file = inputById("file").files?.[0];
  inputById("file").value = "";
  await take(file);
}));
onDrop(byId("dropping"), (transfer) => take(transfer.files[0]));
addEventListener("paste", reportingErrors((event) => take(event.clipboardData?.files[0])));
