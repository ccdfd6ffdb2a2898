// The page that repairs one picture: a picture comes in, strokes become a mask, the service repairs, the result is the
// next picture. What is painted and shown is a preview; what is sent and saved are the files' own bytes.

import { Problem, newest } from "../net/api.js";
import { Busy } from "../parts/busy.js";
import { Comparison } from "../picture/comparison.js";
import { Gestures } from "../picture/gestures.js";
import { pasted, whenDropped } from "../files/incoming.js";
import { notify, notifyOf } from "../frame/notices.js";
import { Unusable, cleanName } from "../picture/picture.js";
import { Sending, opened, openedResult, repair } from "../net/repairing.js";
import * as rights from "../frame/rights.js";
import { maskFile } from "../picture/runlengths.js";
import { Steps } from "../picture/steps.js";
import { Strokes } from "../picture/strokes.js";
import { bytes, number, t } from "../words/texts.js";
import { showChosen, whenChosen } from "../parts/toolbox.js";
import { View } from "../picture/view.js";

const at = (id) => document.getElementById(id);
const limits = { bytes: Number(at("bench").dataset.maxBytes), pixels: Number(at("bench").dataset.maxPixels) };
const TOOL_KEYS = { b: "brush", e: "eraser", r: "rectangle", l: "lasso", h: "hand" };
const SIZES = { least: 2, most: 600 }; // of the brush, in CSS pixels on the fitted stage

let strokes = new Strokes();
let working = null; // the AbortController of the repair that runs
let downloadUrl = null;

const view = new View(at("canvas"), () => comparison.follow());
const busy = new Busy(view);
const steps = new Steps(at("steps"), show);
const bench = {
  tool: "brush",
  brush: 0, // pixels of the picture
  get size() {
    return this.brush;
  },
  get comparing() {
    return comparison.on;
  },
  get locked() {
    return working !== null;
  },
  finished(shape) {
    strokes.add(shape);
    view.repaint();
    refresh();
  },
  resized(factor) {
    at("size").value = Math.max(0, Math.min(100, Number(at("size").value) + Math.log(factor) * 18));
    sizeBrush();
  },
  divided(x) {
    comparison.moveTo(x);
  },
  touched() {
    at("canvas").focus({ preventScroll: true });
  },
};
const comparison = new Comparison(
  view,
  { divider: at("divider"), range: at("divider-range"), labels: [at("label-before"), at("label-after")] },
  refresh,
);
const gestures = new Gestures(at("canvas"), view, bench);

/* Pictures in */

const chosen = newest();

async function take(file) {
  if (!file) return;
  stop();
  let viewed = () => {};
  try {
    const begun = await chosen(opened(file, file.name || "picture.png", limits, () => {
      viewed = notify("info", t("This browser cannot show the file: the service does"), t("It is sent first, and then shown as small as is needed. The result is whole."), { lasting: true });
    }));
    if (!begun) return; // another was chosen since, and is there
    stop(); // what was begun on the picture before
    const { picture } = begun;
    at("start").hidden = true;
    at("work").hidden = false;
    at("name").textContent = picture.name;
    at("facts").dataset.size = `${picture.width}x${picture.height}`;
    at("facts").textContent = t("{width} × {height} pixels, {size}", {
      width: number(picture.width), height: number(picture.height), size: bytes(file.size),
    });
    steps.begin(begun);
    view.fit();
    sizeBrush();
    at("canvas").focus({ preventScroll: true });
  } catch (error) {
    tell(error);
  } finally {
    viewed();
  }
}

function tell(error) {
  if (error instanceof Unusable) notify("error", error.title, error.message);
  else notifyOf(error);
}

function show({ picture }) {
  comparison.end();
  strokes = new Strokes();
  view.show(picture, strokes);
  const step = steps.current;
  if (downloadUrl) URL.revokeObjectURL(downloadUrl);
  downloadUrl = null;
  at("download").hidden = step === steps.original;
  if (step !== steps.original) {
    downloadUrl = URL.createObjectURL(picture.blob);
    at("download").href = downloadUrl;
    at("download").download = cleanName(picture.name);
  }
  refresh();
}

/* The repair */

async function erase() {
  if (working || !steps.current || strokes.empty) return;
  const stated = await rights.required();
  if (!stated) return;
  refresh();
  const { signal } = (working = new AbortController());
  gestures.cancel();
  comparison.end();
  refresh();
  busy.begin();
  at("stop").focus({ preventScroll: true });
  try {
    const from = steps.current;
    const { name, width, height } = from.picture;
    const mask = await maskFile(strokes, width, height);
    if (!mask) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
    const clean = await repaired(from.sending, name, mask, stated, signal);
    const picture = await openedResult(clean, name, limits);
    signal.throwIfAborted(); // the steps may be another picture's by now
    steps.add({ picture, sending: new Sending(picture) });
    comparison.begin(steps.original.picture, { sweep: true });
  } catch (error) {
    tell(error);
  } finally {
    working = null;
    busy.end();
    at("canvas").focus({ preventScroll: true });
    refresh();
  }
}

async function repaired(sending, name, mask, stated, signal) {
  const told = { told: (state) => busy.tell(state), onWait: (away) => busy.away(away), signal };
  try {
    return await repair(sending, name, mask, stated, told);
  } catch (error) {
    // What was sent long ago is no longer kept: send it again, once.
    if (error.code !== "upload_unknown") throw error;
    sending.renew();
    return repair(sending, name, mask, stated, told);
  }
}

function stop() {
  working?.abort();
}

/* What can be done now */

function refresh() {
  if (!steps.current) return;
  const locked = working !== null;
  at("undo").disabled = locked || !strokes.canUndo;
  at("redo").disabled = locked || !strokes.canRedo;
  at("clear").disabled = locked || strokes.empty;
  at("erase").disabled = locked || strokes.empty;
  at("compare").disabled = locked || steps.current === steps.original;
  at("again").hidden = !comparison.on;
  at("first").hidden = locked || steps.count > 1 || strokes.canUndo || strokes.canRedo;
  at("compare").setAttribute("aria-pressed", String(comparison.on));
  at("stage").dataset.tool = comparison.on ? "divide" : locked ? "none" : bench.tool;
  at("steps").inert = locked;
  showChosen(at("tools"), bench.tool, { active: !comparison.on });
  at("size").disabled = !["brush", "eraser"].includes(bench.tool);
  const stated = rights.statement();
  at("rights-line").hidden = !stated;
  if (stated) at("rights-text").textContent = t("{name} answers for it.", { name: stated.attested_by });
}

function choose(tool) {
  bench.tool = tool;
  comparison.end();
  refresh();
}

function sizeBrush() {
  // The slider is logarithmic, and a share of the picture: the same stroke in every zoom.
  const { picture } = view.scene;
  if (!picture) return;
  const onStage = SIZES.least * (SIZES.most / SIZES.least) ** (at("size").value / 100);
  bench.brush = Math.max(1, (onStage * Math.max(picture.width, picture.height)) / 1000);
  at("size").previousElementSibling.previousElementSibling.style.scale = String(0.25 + 0.75 * (at("size").value / 100));
  view.redraw();
}

function compare() {
  if (comparison.on) comparison.end();
  else if (steps.current !== steps.original) comparison.begin(steps.original.picture);
}

function undo() {
  strokes.undo();
  view.repaint();
  refresh();
}

function redo() {
  strokes.redo();
  view.repaint();
  refresh();
}

function clear() {
  if (strokes.empty) return;
  strokes.add({ kind: "clear" });
  view.repaint();
  refresh();
}

/* Buttons */

const CLICKS = {
  choose: () => at("file").click(), another: () => at("file").click(), paste: async () => take(await pasted()), erase, stop, undo, redo, clear, compare,
  fit: () => view.fit(), "zoom-in": () => view.zoom(1.4), "zoom-out": () => view.zoom(1 / 1.4),
  help: () => at("keys").showModal(), "rights-change": async () => (await rights.ask(), refresh()),
};
for (const [id, act] of Object.entries(CLICKS)) at(id).addEventListener("click", act);
at("size").addEventListener("input", sizeBrush);
whenChosen(at("tools"), choose);

/* Keys: letters act while the work has the focus, so that they are nobody else's (WCAG 2.1.4) */

at("work").addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    const act = key === "z" ? (event.shiftKey ? redo : undo) : key === "y" ? redo : null;
    if (!act || working) return;
    act();
    event.preventDefault();
    return;
  }
  if (event.altKey) return;
  if (key === "enter" && event.target === at("canvas")) erase();
  else if (key in TOOL_KEYS) choose(TOOL_KEYS[key]);
  else if (key === "[" || key === "]") bench.resized(key === "[" ? 0.8 : 1.25);
  else if (key === "+" || key === "=") view.zoom(1.4);
  else if (key === "-") view.zoom(1 / 1.4);
  else if (key === "0") view.fit();
  else if (key === "c") compare();
  else if ((key === "delete" || key === "backspace") && !working) clear();
  else return;
  event.preventDefault();
});

/* Files: chosen, dropped, pasted */

at("file").addEventListener("change", () => {
  take(at("file").files[0]);
  at("file").value = "";
});

whenDropped(at("dropping"), (transfer) => take(transfer.files[0]));
addEventListener("paste", (event) => take(event.clipboardData?.files[0]));
