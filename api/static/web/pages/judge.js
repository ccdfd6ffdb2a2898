// The page on which a person judges a job's results: one pair after the other, the doubtful ones first.
//
// A verdict is taken only for a pair that is on the stage. It is shown at once and sent behind.

import { buttonById, byId, cloneTemplate, dialogById, inputById, isAbort, optionalById, readJson, selectById, setText } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import { below } from "../net/below.js";
import { Again } from "../parts/again.js";
import { showPreview } from "../parts/gallery.js";
import { Rail } from "../parts/rail.js";
import { Results } from "../parts/results.js";
import { Verdicts } from "../parts/verdicts.js";
import { PairsAhead } from "../picture/ahead.js";
import { PairStage } from "../picture/pairstage.js";
import { swipeOf } from "../picture/swipes.js";
import { remarksOf } from "../words/remarks.js";
import { n, number, t } from "../words/texts.js";

/** @import { Image, ReviewWord } from "../net/answers.js" */
/** @import { Counts } from "../parts/verdicts.js" */
/** @typedef {ReturnType<typeof newRow>} Row */

const ROW_PX = 64;
const AHEAD = 3;
const LOAD_BEFORE = 60;
const { job: jobId = "", ended, submits } = byId("judging").dataset;
const path = `/v1/jobs/${jobId}`;
const mayJudge = submits !== undefined;
/** @type {Record<ReviewWord, () => string>} */
const WORDS = { unseen: () => t("not judged yet"), kept: () => t("kept"), rejected: () => t("rejected") };

let results = new Results(`${path}/images`, "unseen");
let current = 0;
/** Where the selected range begins; it ends with the current one. */
let anchor = 0;
/** The image whose pair is on the stage. @type {Image | null} */
let shown = null;
let selections = 0;
const stage = new PairStage();
const ahead = new PairsAhead();
const verdicts = new Verdicts(path, /** @type {Counts} */ (readJson("counts")), { onChange: draw, onError: notifyError });
const again = mayJudge ? new Again(path) : null;
const rail = new Rail(byId("rail"), { rowHeight: ROW_PX, newRow, fill: fillRow, onNearEnd: () => { loadMore(); } });

/* The list */

function newRow() {
  return cloneTemplate("judge-row", { frame: HTMLElement, preview: HTMLImageElement, name: HTMLElement, doubt: HTMLElement, verdict: HTMLElement });
}

/**
 * @param {Row} row
 * @param {number} index
 */
function fillRow(row, index) {
  const image = results.images[index];
  if (!image) return;
  const { root, preview, name, doubt, verdict } = row;
  if (root.dataset.index !== String(index) || root.dataset.image !== image.id) {
    root.dataset.index = String(index);
    root.dataset.image = image.id;
    root.id = `result-${index}`;
    root.setAttribute("aria-posinset", String(index + 1));
    preview.hidden = true;
    preview.removeAttribute("src");
    if (image.preview_url && image.record.preview) showPreview(preview, image.preview_url, image.record.preview);
    setText(name, image.name);
    setText(doubt, doubtOf(image));
  }
  const [from, to] = range();
  root.setAttribute("aria-selected", String(index >= from && index <= to));
  root.classList.toggle("current", index === current);
  root.setAttribute("aria-setsize", results.complete ? String(results.images.length) : "-1");
  showVerdict(verdict, image);
}

/**
 * @param {HTMLElement} place
 * @param {Image} image
 */
function showVerdict(place, { review }) {
  place.hidden = review === "unseen";
  place.className = `state state-${review === "kept" ? "succeeded" : "rejected"}`;
  setText(place, WORDS[review]());
}

/** @param {Image} image */
function doubtOf({ record }) {
  return [
    record.residual_mark ? t("A rest of the mark may show") : "",
    record.masked_share ? t("{percent} % repaired", { percent: number(100 * record.masked_share, 1) }) : "",
  ].filter(Boolean).join(" · ");
}

/**
 * The first and the last index of what is selected.
 * @returns {[from: number, to: number]}
 */
function range() {
  return [Math.min(anchor, current), Math.max(anchor, current)];
}

function loadMore() {
  const mine = results;
  if (mine.complete) return;
  mine.loadMore().then(() => {
    if (mine === results) drawList();
  }).catch(notifyError);
}

function drawList() {
  rail.length = results.images.length;
  rail.draw();
  draw();
}

/** @param {ReviewWord | null} review */
async function open(review) {
  const mine = (results = new Results(`${path}/images`, review));
  current = anchor = 0;
  rail.length = 0;
  byId("rail").scrollTop = 0;
  await mine.loadMore();
  if (mine !== results) return; // the person has chosen others meanwhile
  drawList();
  await select(0);
}

/* The pair */

/**
 * Show a result.
 * @param {number} index
 * @param {boolean} [extend] the selected range up to it
 */
async function select(index, extend = false) {
  const { images } = results;
  const image = images[index];
  const mine = (selections += 1);
  byId("judge-none").hidden = Boolean(image);
  byId("judge-pair").hidden = !image;
  if (!image) {
    shown = null;
    showNone();
    draw();
    return;
  }
  current = index;
  if (!extend) anchor = index;
  if (images.length - index < LOAD_BEFORE) loadMore();
  rail.reveal(index);
  byId("rail").setAttribute("aria-activedescendant", `result-${index}`);
  const pair = ahead.of(image);
  if (pair.ready) {
    stage.show(pair.ready);
    stage.lookAt(pair.changed);
    shown = image;
  } else {
    stage.clear();
    shown = null;
  }
  draw();
  ahead.keep([image, ...images.slice(index + 1, index + 1 + AHEAD), ...images.slice(Math.max(0, index - 1), index)]);
  try {
    await showWhole(image, mine);
  } catch (error) {
    if (mine !== selections || isAbort(error)) return;
    showBlank(image);
    notifyError(error);
  }
}

/**
 * Say that a result has no pictures to look at; it can be judged all the same.
 * @param {Image} image
 */
function showBlank(image) {
  shown = image;
  draw();
  setText(byId("pair-note"), t("The picture cannot be shown"));
}

/**
 * @param {Image} image
 * @param {number} mine the number of its selection
 */
async function showWhole(image, mine) {
  const pair = ahead.of(image);
  const small = await pair.preview;
  if (mine !== selections) return;
  if (!small) {
    showBlank(image);
    return;
  }
  if (!shown) {
    stage.show(small.opened);
    stage.lookAt(small.changed);
    shown = image;
    draw();
  }
  const whole = await pair.whole();
  if (mine !== selections) return;
  if (whole) stage.show(whole);
  const hint = (await pair.pair)?.hint ?? "";
  if (mine === selections) setText(byId("pair-note"), whole ? "" : hint);
}

function showNone() {
  const { unseen, kept, rejected } = verdicts.counts;
  const judged = unseen === 0 && kept + rejected > 0;
  setText(byId("judge-none-title"), judged ? t("All results are judged") : t("No results here"));
}

function draw() {
  const image = results.images[current];
  const [from, to] = range();
  const { counts } = verdicts;
  const total = counts.unseen + counts.kept + counts.rejected;
  const judged = t("{done} of {total} judged", { done: number(counts.kept + counts.rejected), total: number(total) });
  setText(byId("judged"), verdicts.isSent ? judged : `${judged} · ${t("saving…")}`);
  setText(byId("judge-selected"), to > from ? n("1 picture selected", "{count} pictures selected", to - from + 1) : "");
  buttonById("judge-previous").disabled = current <= 0;
  buttonById("judge-next").disabled = current >= results.images.length - 1;
  rail.draw();
  drawActions(image);
  if (!image) return;
  setText(byId("judge-name"), image.name);
  byId("judge-name").title = image.name;
  setText(byId("judge-facts"), [doubtOf(image), image.replaced_by ? t("done again") : "", ...remarksOf(image.record)].filter(Boolean).join(" · "));
  setText(byId("judge-note-text"), image.review_note ?? "");
  showVerdict(byId("judge-verdict"), image);
  const download = byId("judge-download", HTMLAnchorElement);
  download.hidden = !image.result_url;
  if (image.result_url) download.href = below(image.result_url);
  byId("stage").classList.toggle("waiting", shown !== image);
  if (shown !== image) setText(byId("pair-note"), t("Loading…"));
}

/** @param {Image | undefined} image */
function drawActions(image) {
  if (!mayJudge) return;
  for (const id of ["judge-keep", "judge-reject", "judge-note"]) buttonById(id).disabled = !image;
  buttonById("judge-undo").disabled = !verdicts.canUndo;
  const button = buttonById("judge-again");
  button.hidden = ended === undefined || !verdicts.counts.rejected;
  setText(button, n("Do 1 rejected again…", "Do {count} rejected again…", verdicts.counts.rejected));
}

/* Verdicts */

/** @param {"kept" | "rejected"} review */
function judge(review) {
  const [from, to] = range();
  const image = results.images[current];
  if (!mayJudge || !image || shown !== image) return; // nobody has seen it yet
  verdicts.judge(results.images.slice(from, to + 1), review);
  if (to + 1 < results.images.length) void select(to + 1);
  else endOfList();
}

function endOfList() {
  void select(current);
  if (results.complete) notify("success", t("This was the last one"), n("1 result is rejected.", "{count} results are rejected.", verdicts.counts.rejected));
}

function undo() {
  const [first] = verdicts.undo();
  const index = first ? results.images.indexOf(first) : -1;
  if (index >= 0) void select(index);
}

/**
 * @param {number} by
 * @param {boolean} [extend]
 */
function step(by, extend = false) {
  const index = current + by;
  if (results.images[index]) void select(index, extend);
}

function openNote() {
  const image = results.images[current];
  if (!mayJudge || !image) return;
  inputById("note-text").value = image.review_note ?? "";
  dialogById("note").showModal();
}

/* Keys, clicks, fingers */

/** @type {Partial<Record<string, (extend: boolean) => void>>} */
const KEYS = {
  j: (extend) => { step(1, extend); },
  k: (extend) => { step(-1, extend); },
  pagedown: (extend) => { step(1, extend); },
  pageup: (extend) => { step(-1, extend); },
  x: () => { judge("rejected"); },
  v: () => { judge("kept"); },
  z: undo,
  n: openNote,
  "?": () => { dialogById("keys").showModal(); },
  escape: () => {
    anchor = current;
    draw();
  },
};

addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input:not([type=range]), textarea, select");
  const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (typing || document.querySelector("dialog[open]") || event.altKey || ((event.ctrlKey || event.metaKey) && !undoes)) return;
  const act = KEYS[event.key.toLowerCase()];
  if (act) act(event.shiftKey);
  else if (!stage.onKey(event.key.toLowerCase())) return;
  event.preventDefault();
});

const CLICKS = {
  "judge-previous": () => { step(-1); },
  "judge-next": () => { step(1); },
  "judge-keep": () => { judge("kept"); },
  "judge-reject": () => { judge("rejected"); },
  "judge-undo": undo,
  "judge-note": openNote,
  "judge-again": () => again?.open(verdicts.counts.rejected, results.images[current] ?? null),
  help: () => { dialogById("keys").showModal(); },
};
for (const [id, act] of Object.entries(CLICKS)) optionalById(id, HTMLButtonElement)?.addEventListener("click", act);

byId("rail").addEventListener("click", (event) => {
  const row = event.target instanceof Element ? event.target.closest("[data-index]") : null;
  if (row instanceof HTMLElement) void select(Number(row.dataset.index), event.shiftKey);
});
byId("rail").addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  step(by, event.shiftKey);
});
selectById("which").addEventListener("change", reportingErrors(() => open(/** @type {ReviewWord | ""} */ (selectById("which").value) || null)));
optionalById("note-form", HTMLFormElement)?.addEventListener("submit", () => {
  const image = results.images[current];
  if (image) verdicts.note(image, inputById("note-text").value.trim());
});
swipeOf(byId("canvas"), (way) => {
  if (way === "left") judge("rejected");
  else if (way === "right") judge("kept");
  else step(way === "up" ? 1 : -1);
});
addEventListener("beforeunload", (event) => {
  if (!verdicts.isSent) event.preventDefault();
});

open("unseen").catch(notifyError);
