// The page that repairs one picture at a time: strokes become a mask, the service repairs, the result is the next step.
// Paint and preview are small; the files that are sent and saved keep their own bytes. The browser keeps all of it.

import { onDrop, readClipboardPicture } from "../files/incoming.js";
import { buttonById, byId, dialogById, inputById, optionalById, query } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { brushSize, resizedValue } from "../parts/brush.js";
import { Repairs } from "../parts/repairs.js";
import { listenToKeys } from "../parts/shortcuts.js";
import { markTool, onToolChoice } from "../parts/toolbox.js";
import { Works } from "../parts/works.js";
import { Comparison } from "../picture/comparison.js";
import { Gestures } from "../picture/gestures.js";
import { cleanName } from "../picture/picture.js";
import { StepList } from "../picture/steps.js";
import { View } from "../picture/view.js";
import { bytes, number, t } from "../words/texts.js";

/** @import { Bench, Tool } from "../picture/gestures.js" */
/** @import { Line, Strokes } from "../picture/strokes.js" */
/** @import { Paint } from "../parts/masking.js" */
/** @import { Side } from "../parts/repairs.js" */
/** @import { Step, Work } from "../picture/work.js" */

/** @type {Tool[]} */
const TOOLS = ["select", "brush", "eraser", "rectangle", "lasso", "hand"];
const ENLARGE = 1.4;
const { maxBytes, maxPixels, owner = "" } = byId("bench").dataset;
const limits = { bytes: Number(maxBytes), pixels: Number(maxPixels) };
const canvas = byId("canvas", HTMLCanvasElement);
const slider = inputById("size");
/** Masks that are not painted: loaded with the first picture. */
const masking = () => import("../parts/masking.js");

/** @type {Tool} */
let tool = "brush";
/** @type {string | null} */
let downloadUrl = null;
/** @type {{ left: Side, right: Side } | null} Two results of one mask, of which the person chooses one. */
let pair = null;

const view = new View(canvas, () => { comparison.follow(); });
const steps = new StepList(byId("steps"), chooseStep);
const comparison = new Comparison(
  view,
  { divider: byId("divider"), range: inputById("divider-range"), labels: { before: byId("label-before"), after: byId("label-after") } },
  refresh,
);
const works = new Works(owner, limits, { onShow: showWork, onNone: showStart });
const repairs = new Repairs(works, view, limits, {
  onBegin() {
    gestures.cancel();
    comparison.end();
  },
  onEnd: focusCanvas,
  onChange: refresh,
  onResult(work) {
    showStep();
    comparison.begin(work.original.picture, { sweep: true });
  },
  onPair(left, right) {
    showStep();
    pair = { left, right };
    comparison.begin(left.step.picture, { names: { before: left.title, after: right.title } });
  },
});
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
    return !works.current || works.current.repair !== null;
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

/* The stage: a work with its steps, or none */

/** @param {Work} work */
function showWork(work) {
  const { name, original: { picture: { width, height } } } = work;
  gestures.cancel();
  byId("start").hidden = true;
  byId("work").hidden = false;
  placeLarge();
  byId("name").textContent = name;
  byId("facts").dataset.size = `${width}x${height}`;
  byId("facts").textContent = t("{width} × {height} pixels, {size}", { width: number(width), height: number(height), size: bytes(work.bytes) });
  showStep();
  repairs.show();
  view.fit();
  showBrush();
  focusCanvas();
  masking().then(({ prepare }) => prepare()).catch(console.warn); // whoever uses them gets the error
}

function showStart() {
  view.clear();
  byId("work").hidden = true;
  byId("start").hidden = false;
  placeLarge();
  buttonById("choose").focus();
}

/** Keep the offer of the large network in sight: on the start, or beside the steps. */
function placeLarge() {
  const large = optionalById("large");
  if (large) query(document, works.current ? ".side-foot" : ".start-plate").append(large);
}

/**
 * Keep one of two results.
 * @param {"left" | "right"} side
 */
function keepSide(side) {
  if (!works.current || !pair) return;
  const { [side]: kept, [side === "left" ? "right" : "left"]: dropped } = pair;
  works.current.current = kept.step;
  comparison.end();
  works.current.drop(dropped.step);
  works.keep(works.current);
  showStep();
  focusCanvas(); // the button is gone
}

/** @param {Step} step */
function chooseStep(step) {
  if (!works.current) return;
  works.current.current = step;
  works.keep(works.current);
  showStep();
}

/** Show the current step of the current work. */
function showStep() {
  if (!works.current) return;
  const { current: step, original } = works.current;
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
  steps.show(works.current.steps, step);
  refresh();
}

/** Show the state of the tools. */
function refresh() {
  const { current } = works;
  if (!current) return;
  const { current: step, original } = current;
  const { strokes } = step;
  const locked = current.repair !== null;
  const { offered } = repairs;
  const statement = rights.statement();
  buttonById("undo").disabled = locked || !strokes.canUndo;
  buttonById("redo").disabled = locked || !strokes.canRedo;
  buttonById("clear").disabled = locked || strokes.isEmpty;
  buttonById("erase").disabled = locked || strokes.isEmpty;
  for (const button of document.querySelectorAll("#finds button")) if (button instanceof HTMLButtonElement) button.disabled = locked || comparison.active;
  repairs.showOutcome();
  if (!comparison.active) pair = null;
  byId("pair").hidden = !pair;
  byId("again").hidden = !comparison.active || pair !== null;
  if (pair) {
    byId("outcome").hidden = true;
    buttonById("take-left").textContent = t("The left one: {network}", { network: pair.left.title });
    buttonById("take-right").textContent = t("The right one: {network}", { network: pair.right.title });
  }
  buttonById("compare").disabled = locked || step === original;
  byId("first").hidden = locked || current.isRepaired || strokes.canUndo || strokes.canRedo;
  byId("offer").hidden = offered === null;
  if (offered !== null) buttonById("repeat").textContent = t("Use the mask of {name}", { name: offered });
  buttonById("mask-save").disabled = strokes.isEmpty;
  buttonById("mask-open").disabled = locked;
  byId("copy").hidden = step === original;
  works.update();
  byId("compare").setAttribute("aria-pressed", String(comparison.active));
  byId("stage").dataset.tool = comparison.active ? "divide" : locked ? "none" : tool;
  byId("steps").inert = locked;
  markTool(byId("tools"), tool, { active: !comparison.active });
  slider.disabled = !["select", "brush", "eraser"].includes(tool);
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
  else if (works.current && works.current.current !== works.current.original) comparison.begin(works.current.original.picture);
}

/** @param {boolean} shown */
function peek(shown) {
  view.scene.peek = shown && works.current ? works.current.original.picture : null;
  view.redraw();
}

function showKeys() {
  dialogById("keys").showModal();
}

/* The mask */

/** @param {(painted: Strokes) => void} act */
function change(act) {
  if (!works.current) return;
  act(works.current.current.strokes);
  noteChange(works.current, works.current.current);
}

/** @type {Paint} */
function paint(work, step, pixels) {
  step.strokes.add(pixels);
  noteChange(work, step);
}

/**
 * @param {Work} work
 * @param {Step} step that was painted on
 */
function noteChange(work, step) {
  step.upload.begin();
  works.keep(work);
  if (work !== works.current) return;
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
  if (works.current && !works.current.current.strokes.isEmpty) change((painted) => { painted.add({ kind: "clear" }); });
}

function repeatMask() {
  if (repairs.offered === null) return;
  repairs.repeatMask();
  change(() => {});
  focusCanvas(); // the button is gone
}

/** @param {Line} line */
async function select(line) {
  try {
    if (works.current) await (await masking()).select(works.current, paint, line);
  } finally {
    view.repaint();
  }
}

/** @param {File} [logo] to be found; without one the text is */
async function find(logo) {
  const work = works.current;
  if (work && !work.repair && !comparison.active) await (await masking()).find(work, repairs, paint, logo);
}

async function saveMask() {
  if (works.current) await (await masking()).saveMask(works.current.current);
}

/* Results out */

function saveResult() {
  const download = byId("download", HTMLAnchorElement);
  if (download.hidden) notify("info", t("There is no result to save yet"), t("Paint over the mark, then erase it."));
  else download.click();
}

async function copyResult() {
  if (!works.current) return;
  const { copyPicture } = await import("../files/outgoing.js");
  await copyPicture(works.current.current.picture);
}

/* Buttons and keys */

const enlarge = () => { view.zoom(ENLARGE); };
const reduce = () => { view.zoom(1 / ENLARGE); };
const fit = () => { view.fit(); };
const erase = () => repairs.erase();
const chooseFile = () => { inputById("file").click(); };
const findLogo = () => { inputById("logo-file").click(); };
const CLICKS = {
  choose: chooseFile,
  another: chooseFile,
  async paste() {
    const file = await readClipboardPicture();
    if (file) await works.take([file]);
  },
  erase,
  "erase-all": () => repairs.eraseAll(),
  repeat: repeatMask,
  "mask-save": saveMask,
  "mask-open": () => { inputById("mask-file").click(); },
  copy: copyResult,
  both: () => repairs.eraseWithBoth(),
  "outcome-other": () => repairs.redoOtherwise(),
  "outcome-network": () => repairs.tryOtherNetwork(),
  "take-left": () => { keepSide("left"); },
  "take-right": () => { keepSide("right"); },
  "find-logo": findLogo,
  stop: () => { repairs.stop(); },
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
for (const [id, act] of Object.entries(CLICKS)) buttonById(id).addEventListener("click", reportingErrors(act));
optionalById("find-text")?.addEventListener("click", reportingErrors(() => find()));
slider.addEventListener("input", showBrush);
onToolChoice(byId("tools"), TOOLS, chooseTool);
listenToKeys(
  canvas,
  {
    choose: chooseTool, resize: resizeBrush, enlarge, reduce, fit, compare, peek, erase, undo, redo, clear, repeatMask, findLogo,
    findText: () => { optionalById("find-text")?.click(); }, save: saveResult, copy: copyResult, turnOver: (by) => works.turnOver(by), showKeys,
  },
  {
    get isOpen() {
      return works.current !== null;
    },
    get isLocked() {
      return Boolean(works.current?.repair);
    },
    get isResult() {
      return Boolean(works.current && works.current.current !== works.current.original);
    },
  },
);

/* Files: chosen, dropped, pasted */

/**
 * @param {string} id of a file input
 * @param {(files: File[]) => unknown} take
 */
function onFiles(id, take) {
  inputById(id).addEventListener("change", reportingErrors(() => {
    const files = [...(inputById(id).files ?? [])];
    inputById(id).value = "";
    return take(files);
  }));
}

onFiles("file", (files) => works.take(files));
onFiles("logo-file", ([file]) => file && find(file));
onFiles("mask-file", async ([file]) => {
  if (!file || !works.current) return;
  const { openMask } = await masking();
  await openMask(works.current, paint, file).catch((/** @type {unknown} */ error) => { notifyError(error, file.name); });
});
onDrop(byId("dropping"), (transfer) => works.take([...transfer.files]));
addEventListener("paste", reportingErrors((event) => works.take([...(event.clipboardData?.files ?? [])])));

addEventListener("beforeunload", (event) => {
  if (works.isAtRisk) event.preventDefault(); // the browser asks
});

if (optionalById("large")) {
  import("../parts/large.js").then(({ watchLarge }) => { watchLarge(() => { repairs.addLarge(); }); }).catch(notifyError);
}

reportingErrors(async () => {
  for (const work of await works.restore()) void repairs.resume(work);
})();
