// The tools of a stage: buttons of which one is chosen, by a click or by arrow keys.

/** `choose(name)` is told which tool is wanted. */
export function whenChosen(box, choose) {
  box.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-tool]")?.dataset.tool;
    if (tool) choose(tool);
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const all = [...box.children].filter((button) => !button.hidden);
    const next = all[(all.indexOf(document.activeElement) + by + all.length) % all.length];
    choose(next.dataset.tool);
    next.focus();
    event.preventDefault();
  });
}

/** Mark the tool that is chosen; one that is not `active` now is in reach of the Tab key all the same. */
export function showChosen(box, name, { active = true } = {}) {
  for (const button of box.children) {
    button.setAttribute("aria-checked", String(active && button.dataset.tool === name));
    button.tabIndex = button.dataset.tool === name ? 0 : -1;
  }
}
