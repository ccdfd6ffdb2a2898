// The toolbox of a stage: buttons of which one is chosen, by a click or by arrow keys.

import { childrenOf, closest } from "../frame/dom.js";

/** @type {Partial<Record<string, number>>} */
const KEY_STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * @template {string} T
 * @param {HTMLElement} box whose buttons name their tool in `data-tool`
 * @param {readonly T[]} tools
 * @param {(tool: T) => void} choose
 */
export function onToolChoice(box, tools, choose) {
  /** @param {HTMLElement | null | undefined} button */
  const chooseOf = (button) => {
    const tool = tools.find((name) => name === button?.dataset.tool);
    if (tool) choose(tool);
  };
  box.addEventListener("click", (event) => { chooseOf(closest(event, "[data-tool]")); });
  box.addEventListener("keydown", (event) => {
    const step = KEY_STEPS[event.key];
    if (!step) return;
    const buttons = childrenOf(box).filter((button) => !button.hidden);
    const focused = buttons.findIndex((button) => button === document.activeElement);
    const next = buttons[(focused + step + buttons.length) % buttons.length];
    chooseOf(next);
    next?.focus();
    event.preventDefault();
  });
}

/**
 * Mark the chosen tool. It stays in reach of the Tab key while it is not `active`.
 * @param {HTMLElement} box
 * @param {string} tool
 * @param {{ active?: boolean }} [options]
 */
export function markTool(box, tool, { active = true } = {}) {
  for (const button of childrenOf(box)) {
    button.setAttribute("aria-checked", String(active && button.dataset.tool === tool));
    button.tabIndex = button.dataset.tool === tool ? 0 : -1;
  }
}
