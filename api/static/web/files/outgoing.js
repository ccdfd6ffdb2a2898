// Files out of the page: saved by the browser, or copied into the clipboard.

import { notify } from "../frame/notices.js";
import { t } from "../words/texts.js";

/** @import { Picture } from "../picture/picture.js" */

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => { URL.revokeObjectURL(link.href); }, 60_000); // the browser reads it after the click
}

/** @param {Picture} picture */
export async function copyPicture(picture) {
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
