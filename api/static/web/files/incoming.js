// Files from outside the page: dropped anywhere on it, or from the clipboard.

import { notify, reportingErrors } from "../frame/notices.js";
import { t } from "../words/texts.js";

/**
 * Show `overlay` while files are dragged over the page; `take` gets the dropped ones. Dragged texts stay the browser's
 * own: they may be dropped into fields.
 * @param {HTMLElement} overlay
 * @param {(transfer: DataTransfer) => unknown} take
 */
export function onDrop(overlay, take) {
  let depth = 0;
  /** @param {number} by */
  const enter = (by) => (/** @type {DragEvent} */ { dataTransfer }) => {
    if (!hasFiles(dataTransfer)) return;
    depth = Math.max(0, depth + by);
    overlay.hidden = depth === 0;
  };
  addEventListener("dragenter", enter(1));
  addEventListener("dragleave", enter(-1));
  addEventListener("dragover", (event) => {
    if (hasFiles(event.dataTransfer)) event.preventDefault();
  });
  addEventListener("drop", reportingErrors((event) => {
    depth = 0;
    overlay.hidden = true;
    if (!hasFiles(event.dataTransfer)) return undefined;
    event.preventDefault();
    return take(event.dataTransfer);
  }));
}

/**
 * Read the picture in the clipboard as a file; null where there is none, which a notice says.
 * @returns {Promise<File | null>}
 */
export async function readClipboardPicture() {
  let items;
  try {
    items = await navigator.clipboard.read();
  } catch {
    notify("info", t("The browser does not let the page read the clipboard"), t("Press Ctrl V instead."));
    return null;
  }
  for (const item of items) {
    const type = item.types.find((one) => one.startsWith("image/"));
    if (type) return new File([await item.getType(type)], `pasted.${type.slice(6)}`, { type });
  }
  notify("info", t("There is no picture in the clipboard"), t("Copy one first."));
  return null;
}

/**
 * @param {DataTransfer | null} transfer
 * @returns {transfer is DataTransfer}
 */
function hasFiles(transfer) {
  return transfer?.types.includes("Files") ?? false;
}
