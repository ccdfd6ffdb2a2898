// The pictures on the page of one picture: opened from files, kept by the browser, one of them on the stage. Each is a work
// of its own, and none replaces another.

import { Shelf } from "../files/shelf.js";
import { confirmAction } from "../frame/confirm.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import { openForRepair } from "../net/repairing.js";
import { Work } from "../picture/work.js";
import { t } from "../words/texts.js";
import { Strip } from "./strip.js";

/** @import { Limits } from "../picture/picture.js" */
/** @import { Step } from "../picture/work.js" */
/**
 * `onShow` runs when a work comes to the stage, with its previews open, and `onNone` when no work is left.
 * @typedef {{ onShow: (work: Work) => void, onNone: () => void }} Listeners
 */

export class Works {
  /** The work on the stage. @type {Work | null} */
  current = null;
  #limits;
  #listeners;
  #shelf;
  #strip;
  /** Counts what the person has brought to the stage, so that what was opened meanwhile does not replace it. */
  #choices = 0;

  /**
   * @param {string} person whose pictures the browser keeps
   * @param {Limits} limits of a file
   * @param {Listeners} listeners
   */
  constructor(person, limits, listeners) {
    this.#limits = limits;
    this.#listeners = listeners;
    this.#shelf = new Shelf(person, (error) => {
      console.warn("The browser does not keep the pictures.", error);
      notify("warning", t("This browser does not keep your pictures"), t("Download what you need before you leave the page."), { lasting: true });
    });
    this.#strip = new Strip({
      onChoice: reportingErrors((work) => this.show(work)),
      onPutAway: reportingErrors((work) => this.#putAway(work)),
    });
  }

  get all() {
    return this.#strip.works;
  }

  /** Whether something is lost if the page is left now. */
  get isAtRisk() {
    return this.#shelf.isWriting || (!this.#shelf.isReliable && this.all.some((work) => work.isTouched));
  }

  /**
   * Open files. The first one comes to the stage, unless the person has chosen another meanwhile.
   * @param {Iterable<File>} files
   */
  async take(files) {
    const choice = this.#choices;
    let first = true;
    for (const file of files) {
      const work = await this.#open(file);
      if (!work) continue;
      if (first && (choice === this.#choices || !this.current)) await this.show(work, { isOpen: true });
      else work.close();
      first = false;
    }
  }

  /**
   * Bring back what the browser has kept; the works.
   * @returns {Promise<Work[]>}
   */
  async restore() {
    const restored = [];
    for (const { record, files } of await this.#shelf.open()) {
      try {
        const work = await Work.restore(record, files);
        if (!work) continue;
        this.#strip.add(work);
        if (this.current) work.close();
        else await this.show(work, { isOpen: true });
        restored.push(work);
      } catch (error) {
        notifyError(error, record.name);
      }
    }
    this.update();
    return restored;
  }

  /**
   * Bring a work to the stage.
   * @param {Work} work
   * @param {{ isOpen?: boolean }} [options] `isOpen`: its previews are decoded
   */
  async show(work, { isOpen = false } = {}) {
    if (work === this.current) return;
    const choice = (this.#choices += 1);
    if (!isOpen) await work.reopen();
    if (choice !== this.#choices) {
      if (work !== this.current) work.close(); // the person has chosen another one since
      return;
    }
    const left = this.current;
    this.current = work;
    if (!work.isTouched) work.original.upload.begin();
    this.#listeners.onShow(work);
    left?.close();
  }

  /**
   * Bring the work to the stage that is `by` places after the current one, if there is one.
   * @param {number} by
   */
  async turnOver(by) {
    const next = this.current && this.#strip.neighbour(this.current, by);
    if (next) await this.show(next);
  }

  /**
   * Keep a work in the browser, with the files of new steps.
   * @param {Work} work
   * @param {Step[]} [added]
   */
  keep(work, added = []) {
    if (!this.all.includes(work)) return; // it was put away meanwhile
    const files = added.map(({ id, picture: { blob, view } }) => ({ id, work: work.id, blob, view }));
    this.#shelf.keep(work.record(this.#shelf.owner), files);
  }

  /** Show the state of each work in the strip. */
  update() {
    if (this.current) this.#strip.update(this.current);
  }

  /**
   * Open a file as a work; null where it cannot be opened, which a notice says.
   * @param {File} file
   */
  async #open(file) {
    let closeNotice = () => {};
    try {
      const { picture, upload } = await openForRepair(file, file.name || "picture.png", this.#limits, () => {
        closeNotice = notify("info", t("This browser cannot show the file: the service does"), t("It is sent first, and then shown as small as is needed. The result is whole."), { lasting: true });
      });
      const work = Work.begin(picture, upload);
      this.#strip.add(work);
      this.keep(work, work.steps);
      this.update();
      return work;
    } catch (error) {
      notifyError(error, file.name);
      return null;
    } finally {
      closeNotice();
    }
  }

  /** @param {Work} work */
  async #putAway(work) {
    if (work.isTouched) {
      const sure = await confirmAction(t("Put {name} away?", { name: work.name }), t("Its steps and what is painted on it are gone from this browser."), t("Put away"));
      if (!sure) return;
    }
    const next = this.#strip.neighbour(work, 1) ?? this.#strip.neighbour(work, -1);
    work.repair?.controller.abort();
    this.#shelf.forget(work.id);
    this.#strip.remove(work);
    if (work !== this.current) this.update();
    else if (next) await this.show(next);
    else {
      this.#choices += 1;
      this.current = null;
      work.close();
      this.#listeners.onNone();
    }
  }
}
