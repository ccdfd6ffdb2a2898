// Works at the service: repairs and searches, with progress over the stage and a way to stop. Each work has its own, which goes
// on while another one is on the stage. The mask of the last repair is offered to the next picture.

import { buttonById, byId } from "../frame/dom.js";
import { notify, notifyError } from "../frame/notices.js";
import * as rights from "../frame/rights.js";
import { Problem, hasCode } from "../net/api.js";
import { awaitResult, openResult, repairPicture } from "../net/repairing.js";
import { maskFile } from "../picture/runlengths.js";
import { number, t } from "../words/texts.js";
import { Busy } from "./busy.js";
import { NetworkChoice } from "./networks.js";

/** @import { Statement } from "../frame/rights.js" */
/** @import { How, RepairOptions, Result } from "../net/repairing.js" */
/** @import { Limits } from "../picture/picture.js" */
/** @import { Shape, Size } from "../picture/strokes.js" */
/** @import { View } from "../picture/view.js" */
/** @import { Outcome, Repair, Step, Work } from "../picture/work.js" */
/** @import { Works } from "./works.js" */
/** @typedef {{ step: Step, title: string }} Side a step, and what its network is called */
/**
 * `onBegin` and `onEnd` run when the stage begins and ends to show a repair, `onChange` after each change of its state,
 * `onResult` when the work on the stage has a new step, and `onPair` when it has two of one mask, by two networks.
 * @typedef {{
 *   onBegin: () => void,
 *   onEnd: () => void,
 *   onChange: () => void,
 *   onResult: (work: Work) => void,
 *   onPair: (left: Side, right: Side) => void,
 * }} Listeners
 */

export class Repairs {
  #works;
  #limits;
  #listeners;
  #busy;
  #networks = new NetworkChoice();
  /** @type {{ shapes: Shape[], size: Size, work: Work } | null} What was repaired last. */
  #lastMask = null;

  /**
   * @param {Works} works
   * @param {View} view
   * @param {Limits} limits of a result
   * @param {Listeners} listeners
   */
  constructor(works, view, limits, listeners) {
    this.#works = works;
    this.#limits = limits;
    this.#listeners = listeners;
    this.#busy = new Busy(view);
  }

  /** Repair the painted part of the current step. */
  async erase() {
    const work = this.#works.current;
    if (!work || work.repair || work.current.strokes.isEmpty) return;
    const statement = await rights.requireStatement();
    if (statement) await this.#repair(work, statement);
  }

  /** Repair every untouched picture with the mask of the current one, one after the other. */
  async eraseAll() {
    const { current } = this.#works;
    const shapes = current?.shapesToRepeat;
    if (!current || !shapes) return;
    const size = current.original.picture;
    const statement = await rights.requireStatement();
    if (!statement) return;
    for (const work of this.#works.all.filter((one) => !one.isTouched)) {
      work.paint(shapes, size);
      this.#works.keep(work);
      await this.#repair(work, statement);
    }
  }

  /** Repair the current step's parent once more, in the other way: recovered, or filled. */
  async redoOtherwise() {
    const work = this.#works.current;
    const { parent, outcome } = work?.current ?? {};
    if (!work || !parent || !outcome || work.repair) return;
    const statement = await rights.requireStatement();
    if (statement) await this.#repair(work, statement, { step: parent, method: otherWay(outcome) });
  }

  /** Repair the painted part with the chosen network and with another one, and compare the results. */
  async eraseWithBoth() {
    const work = this.#works.current;
    if (!work || work.repair || work.current.strokes.isEmpty) return;
    const { current: step } = work;
    const statement = await rights.requireStatement();
    const left = statement && (await this.#repair(work, statement, { step }));
    if (left) await this.#repairOtherwise(work, statement, left);
  }

  /** Repair the current step's parent with another network too, and compare the results. */
  async tryOtherNetwork() {
    const work = this.#works.current;
    if (!work?.current.outcome || work.repair) return;
    const { current: left } = work;
    const statement = await rights.requireStatement();
    if (statement) await this.#repairOtherwise(work, statement, left);
  }

  /** Offer the large network, which the service has now. */
  addLarge() {
    this.#networks.addLarge();
    this.#listeners.onChange();
  }

  /**
   * Wait for the job that ran when the page was left.
   * @param {Work} work
   */
  async resume(work) {
    const job = work.leftJob;
    const step = work.steps.find(({ id }) => id === job?.step);
    work.leftJob = null;
    if (job && step) await this.#run(work, step, job.how ?? {}, (options) => awaitResult(job, options));
  }

  stop() {
    this.#works.current?.repair?.controller.abort();
  }

  /** The name of the picture whose mask the current one may take over; null: there is none. */
  get offered() {
    const { current } = this.#works;
    const last = this.#lastMask;
    const isFree = current && last && last.work !== current && !current.repair && !current.isRepaired && current.current.strokes.isEmpty;
    return isFree ? last.work.name : null;
  }

  /** Paint the mask that is offered. */
  repeatMask() {
    if (this.#lastMask && this.offered !== null) this.#works.current?.paint(this.#lastMask.shapes, this.#lastMask.size);
  }

  /**
   * Do something with a step at the service, with progress over the stage, and a way to stop it. Null where it failed,
   * which a notice says, or was stopped.
   * @template T
   * @param {Work} work
   * @param {Step} step
   * @param {(options: Omit<RepairOptions, "how">) => Promise<T>} act
   */
  async atTheService(work, step, act) {
    const controller = new AbortController();
    const { signal } = controller;
    /** @type {Repair} */
    const repair = { controller, step, progress: { stage: "sending", share: 0 }, away: false, job: null };
    work.repair = repair;
    this.show();
    try {
      return await act({
        onProgress: (progress) => {
          repair.progress = progress;
          if (work === this.#works.current) this.#busy.report(progress);
        },
        onWait: (away) => {
          repair.away = away;
          if (work === this.#works.current) this.#busy.reportAway(away);
        },
        onJob: (job) => {
          repair.job = job;
          this.#works.keep(work);
        },
        signal,
      });
    } catch (error) {
      work.repair = null;
      this.#works.keep(work);
      notifyError(error, this.#works.all.length > 1 ? work.name : "");
      return null;
    } finally {
      work.repair = null;
      this.show();
    }
  }

  /** Show the repair of the current work, or that none runs. */
  show() {
    const { current } = this.#works;
    if (!current) return;
    const { repair } = current;
    const wasBusy = !byId("busy").hidden;
    if (repair) {
      if (!wasBusy) {
        this.#listeners.onBegin();
        this.#busy.begin();
      }
      this.#busy.report(repair.progress);
      if (repair.away) this.#busy.reportAway(true);
      if (!wasBusy) byId("stop").focus({ preventScroll: true });
    } else if (wasBusy) {
      this.#busy.end();
      this.#listeners.onEnd();
    }
    this.#listeners.onChange();
  }

  /** Say how much of the current result is the picture's own, and offer the other way. */
  showOutcome() {
    const { current } = this.#works;
    const outcome = current?.current.outcome ?? null;
    byId("outcome").hidden = !outcome || current?.repair !== null || !current.current.strokes.isEmpty;
    buttonById("both").disabled = buttonById("erase").disabled;
    if (!outcome) return;
    const share = Math.round(100 * (outcome.recovered ?? 0));
    byId("outcome-text").textContent = outcome.recovered === null
      ? t("All of it is invented by the network")
      : t("Recovered {recovered} %, invented {invented} %", { recovered: number(share), invented: number(100 - share) });
    const other = buttonById("outcome-other");
    other.textContent = otherWay(outcome) === "fill" ? t("Fill instead") : t("Recover instead");
    other.hidden = outcome.method === "recover" && outcome.recovered === null; // it was tried
    const network = buttonById("outcome-network");
    network.hidden = !this.#networks.areSeveral;
    network.textContent = t("Compare with: {network}", { network: this.#networks.title(this.#networks.other(outcome.model ?? "")) });
  }

  /**
   * Repair the mask of a result with another network, and compare the two.
   * @param {Work} work
   * @param {Statement} statement
   * @param {Step} left the result
   */
  async #repairOtherwise(work, statement, left) {
    const { parent, outcome } = left;
    if (!parent || !outcome) return;
    const { method, model: own = "" } = outcome;
    const model = this.#networks.other(own);
    const right = await this.#repair(work, statement, { step: parent, model, ...(method !== "auto" && { method }) });
    if (!right || work !== this.#works.current) return;
    this.#listeners.onPair({ step: left, title: this.#networks.title(own) }, { step: right, title: this.#networks.title(model) });
  }

  /**
   * Repair the painted part of a work's step. Returns the new step; null without a result.
   * @param {Work} work
   * @param {Statement} statement
   * @param {{ step?: Step, method?: "recover" | "fill", model?: string }} [how] `step`: instead of the current one, `model`:
   *   instead of the chosen one
   */
  async #repair(work, statement, { step = work.current, method, model = this.#networks.name } = {}) {
    if (work.repair || step.strokes.isEmpty) return null;
    const { picture: { name, width, height }, strokes, upload } = step;
    const how = { ...(model && { model }), ...(method && { method }) };
    return this.#run(work, step, how, async (options) => {
      const mask = await maskFile(strokes, width, height);
      if (!mask) throw new Problem({ code: "mask_empty", title: "The mask marks nothing", detail: t("Paint over the mark first.") });
      return withUpload(step, () => repairPicture(upload, name, mask, statement, options));
    });
  }

  /**
   * Run a repair of a step; its result becomes a step of the work, and is returned. Null without a result.
   * @param {Work} work
   * @param {Step} step
   * @param {How} how
   * @param {(options: RepairOptions) => Promise<Result>} run
   */
  async #run(work, step, how, run) {
    return this.atTheService(work, step, async (options) => {
      const result = await run({ ...options, how });
      const picture = await openResult(result, step.picture.name, this.#limits);
      options.signal.throwIfAborted();
      const recovered = result.image.record.recovered ?? null;
      const added = work.add(picture, step, { method: how.method ?? "auto", recovered, model: how.model ?? "" });
      this.#lastMask = { shapes: step.strokes.shapes, size: step.picture, work };
      work.repair = null;
      this.#works.keep(work, [added]);
      if (work === this.#works.current) {
        this.#listeners.onResult(work);
      } else {
        added.picture.preview.close();
        notify("success", t("{name} is clean", { name: work.name }));
      }
      return added;
    });
  }
}

/**
 * Do something with a step's upload; once more where the service does not have it any more.
 * @template T
 * @param {Step} step
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 */
export function withUpload(step, act) {
  return act().catch((/** @type {unknown} */ error) => {
    if (!hasCode(error, "upload_unknown")) throw error;
    step.upload.renew(); // the service keeps uploads for a while only
    return act();
  });
}

/** @param {Outcome} outcome */
function otherWay({ recovered }) {
  return recovered === null ? "recover" : "fill";
}
