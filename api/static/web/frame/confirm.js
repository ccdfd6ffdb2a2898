// The question before an action that cannot be undone.

import { buttonById, byId, dialogById } from "./dom.js";

/**
 * Ask in the page's dialog `sure`. Resolves to whether the person confirms.
 * @param {string} title
 * @param {string} detail what follows from it
 * @param {string} yes the text of the button
 * @returns {Promise<boolean>}
 */
export function confirmAction(title, detail, yes) {
  const dialog = dialogById("sure");
  byId("sure-title").textContent = title;
  byId("sure-detail").textContent = detail;
  buttonById("sure-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const settle = () => {
      resolve(dialog.returnValue === "yes");
    };
    dialog.addEventListener("close", settle, { once: true });
  });
}
