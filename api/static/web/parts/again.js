// The dialog that does rejected results again: with another mask, a known mark, another network, or another way to repair.

import { uploadFile } from "../files/upload.js";
import { buttonById, byId, dialogById, inputById, optionalById, selectById } from "../frame/dom.js";
import { notifyError, reportingErrors } from "../frame/notices.js";
import { callApi } from "../net/api.js";
import { below } from "../net/below.js";
import { n } from "../words/texts.js";
import { Repaint } from "./repaint.js";
import { TemplateChoice } from "./templates.js";

/** @import { Image, Job } from "../net/answers.js" */
/** @typedef {"same" | "template" | "file" | "paint"} MarkWay */
/** @typedef {{ way: MarkWay, templates: string[], upload: string | null, images: string[], method: string, model: string }} Choice */

export class Again {
  #path;
  #dialog = dialogById("again");
  /** @type {Repaint} */
  #repaint;
  /** The image that the person looks at. @type {Image | null} */
  #current = null;
  #templates = new TemplateChoice(byId("templates"), byId("templates-none"), () => { this.#draw(); });

  /** @param {string} path of the job */
  constructor(path) {
    this.#path = path;
    this.#repaint = new Repaint(path, () => { this.#draw(); });
    const form = byId("again-form", HTMLFormElement);
    form.addEventListener("change", () => { this.#draw(); });
    inputById("again-by-paint").addEventListener("change", reportingErrors(() => this.#repaint.open(this.#current)));
    form.addEventListener("submit", (event) => { event.preventDefault(); });
    form.addEventListener("submit", reportingErrors(() => this.#begin()));
    buttonById("again-close").addEventListener("click", () => { this.#dialog.close(); });
  }

  /**
   * Ask how the rejected results are done again.
   * @param {number} count
   * @param {Image | null} current the image that the person looks at
   */
  open(count, current) {
    this.#current = current;
    byId("again-form", HTMLFormElement).reset();
    byId("again-title").textContent = n("Do 1 rejected picture again", "Do {count} rejected pictures again", count);
    byId("again-form").hidden = false;
    byId("again-begun").hidden = true;
    this.#draw();
    this.#dialog.showModal();
    this.#templates.load().catch(notifyError);
  }

  get #way() {
    const checked = byId("again-form").querySelector('input[name="again-mark"]:checked');
    return /** @type {MarkWay} */ (checked instanceof HTMLInputElement ? checked.value : "same");
  }

  get #file() {
    return inputById("again-file").files?.[0] ?? null;
  }

  #draw() {
    const way = this.#way;
    byId("again-template").hidden = way !== "template";
    byId("again-mask").hidden = way !== "file";
    byId("again-paint").hidden = way !== "paint";
    this.#dialog.classList.toggle("painting", way === "paint" && !byId("again-form").hidden);
    buttonById("again-begin").hidden = byId("again-form").hidden;
    const missing = { same: false, template: !this.#templates.chosen.length, file: !this.#file, paint: !this.#repaint.isReady };
    buttonById("again-begin").disabled = missing[way];
  }

  async #begin() {
    const button = buttonById("again-begin");
    button.disabled = true;
    try {
      const [way, file] = [this.#way, this.#file];
      const painted = way === "paint" ? await this.#repaint.take() : null;
      const choice = {
        way,
        templates: this.#templates.chosen,
        upload: way === "file" && file ? await uploadFile(file.name, file) : (painted?.upload ?? null),
        images: painted?.images ?? [],
        method: selectById("again-method").value,
        model: optionalById("again-network", HTMLSelectElement)?.value ?? "",
      };
      const child = /** @type {Job} */ (await callApi("POST", `${this.#path}/redo`, { body: bodyOf(choice) }));
      byId("again-form").hidden = true;
      byId("again-begun").hidden = false;
      byId("again-text").textContent = n("1 picture is done again. If it becomes clean, it takes the place of the rejected one.", "{count} pictures are done again. Those that become clean take the places of the rejected ones.", child.total);
      byId("again-follow", HTMLAnchorElement).href = below(`/jobs/${child.id}`);
      byId("again-follow").focus();
    } finally {
      this.#draw();
    }
  }
}

/**
 * The request of a choice: rejected results, or those of a painted mask, and what differs from the first time.
 * @param {Choice} choice
 */
export function bodyOf({ way, templates, upload, images, method, model }) {
  const options = { ...(method && { method }), ...(model && { model }) };
  return {
    ...(way === "paint" ? { images } : { review: "rejected" }),
    ...(way === "template" && { mask: { templates } }),
    ...((way === "file" || way === "paint") && { mask: { upload_id: upload } }),
    ...(Object.keys(options).length && { options }),
  };
}
