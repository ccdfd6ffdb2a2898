// Files that come in from elsewhere: dropped anywhere on the page, or from the clipboard.

import { notify } from "../frame/notices.js";
import { t } from "../words/texts.js";

/** While files are dragged over the page `overlay` is shown; `take(transfer)` gets what was dropped. */
export function whenDropped(overlay, take) {
  let over = 0;
  const told = (event, by) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    over = Math.max(0, over + by);
    overlay.hidden = over === 0;
  };
  addEventListener("dragenter", (event) => told(event, 1));
  addEventListener("dragleave", (event) => told(event, -1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over = 0;
    overlay.hidden = true;
    take(event.dataTransfer);
  });
}

/** The picture in the clipboard as a file, asked for by a button; null where there is none, which the person is told. */
export async function pasted() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((one) => one.startsWith("image/"));
      if (type) return new File([await item.getType(type)], `pasted.${type.slice(6)}`, { type });
    }
    notify("info", t("There is no picture in the clipboard"), t("Copy one first."));
  } catch {
    notify("info", t("The browser does not let the page read the clipboard"), t("Press Ctrl V instead."));
  }
  return null;
}
