// The keys of the page of one picture. Letters act while the work has the focus, so that they are free elsewhere (WCAG 2.1.4).

import { byId } from "../frame/dom.js";
import { reportingErrors } from "../frame/notices.js";

/** @import { Tool } from "../picture/gestures.js" */
/**
 * @typedef {Record<"clear" | "compare" | "copy" | "enlarge" | "erase" | "findLogo" | "findText" | "fit" | "redo" | "reduce"
 *   | "repeatMask" | "save" | "showKeys" | "undo", () => unknown> & {
 *   choose: (tool: Tool) => unknown,
 *   peek: (shown: boolean) => unknown,
 *   resize: (factor: number) => unknown,
 *   turnOver: (by: number) => unknown,
 * }} Actions
 */
/** @typedef {{ readonly isOpen: boolean, readonly isLocked: boolean, readonly isResult: boolean }} State of what is on the stage */

/** @type {Partial<Record<string, Tool>>} */
const TOOL_KEYS = { s: "select", b: "brush", e: "eraser", r: "rectangle", l: "lasso", h: "hand" };

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Actions} actions
 * @param {State} state
 */
export function listenToKeys(canvas, actions, state) {
  /** @type {Partial<Record<string, () => unknown>>} */
  const keys = {
    "[": () => actions.resize(0.8),
    "]": () => actions.resize(1.25),
    "+": actions.enlarge,
    "=": actions.enlarge,
    "-": actions.reduce,
    0: actions.fit,
    c: actions.compare,
    m: actions.repeatMask,
    "?": actions.showKeys,
    pageup: () => actions.turnOver(-1),
    pagedown: () => actions.turnOver(1),
  };
  /** @type {Partial<Record<string, () => unknown>>} Keys that change the paint: not while a repair runs. */
  const changing = { delete: actions.clear, backspace: actions.clear, t: actions.findText, g: actions.findLogo };

  /**
   * The action of a key, if it has one now.
   * @param {KeyboardEvent} event
   * @returns {(() => unknown) | null}
   */
  const actionOf = (event) => {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "c") return event.target === canvas && state.isResult ? actions.copy : null;
      if (state.isLocked) return null;
      if (key === "z") return event.shiftKey ? actions.redo : actions.undo;
      return key === "y" ? actions.redo : null;
    }
    if (event.altKey) return null;
    if (key === "enter") return event.target === canvas ? actions.erase : null;
    const tool = TOOL_KEYS[key];
    if (tool) return () => actions.choose(tool);
    return keys[key] ?? (state.isLocked ? null : changing[key]) ?? null;
  };

  byId("work").addEventListener("keydown", (event) => {
    const act = actionOf(event);
    if (!act) return;
    event.preventDefault();
    reportingErrors(act)();
  });
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s" || !state.isOpen) return;
    event.preventDefault(); // the page itself is nothing to save
    actions.save();
  });
  peekByTab(canvas, actions, state);
}

/**
 * Tab shows the original while it is held on a result. After Esc it moves the focus, so that nobody is caught.
 * @param {HTMLCanvasElement} canvas
 * @param {Pick<Actions, "peek">} actions
 * @param {State} state
 */
function peekByTab(canvas, { peek }, state) {
  let moves = false;
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape") moves = true;
    if (event.key !== "Tab" || event.shiftKey || moves || !state.isResult) return;
    event.preventDefault();
    peek(true);
  });
  canvas.addEventListener("keyup", (event) => {
    if (event.key === "Tab") peek(false);
  });
  canvas.addEventListener("focus", () => { moves = false; });
  canvas.addEventListener("blur", () => { peek(false); });
}
