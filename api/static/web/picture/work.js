// The work on one picture: the original, each repaired step, what is painted on each. A step names the step that it was
// painted on, so that the steps are a tree and none claims what it does not hold.

import { BackgroundUpload } from "../net/repairing.js";
import { reopenPicture } from "./picture.js";
import { Strokes, fittedShapes } from "./strokes.js";

/** @import { Progress, RunningJob } from "../net/repairing.js" */
/** @import { Picture } from "./picture.js" */
/** @import { Shape, Size, StrokesState } from "./strokes.js" */
/**
 * How a step came to be: the way and the network that were asked for, and the share of the mask's area that was recovered,
 * null for none. The network is empty for the service's own, and missing in records of earlier versions.
 * @typedef {{ method: "auto" | "recover" | "fill", recovered: number | null, model?: string }} Outcome
 */
/**
 * @typedef {{
 *   id: string,
 *   parent: Step | null,
 *   picture: Picture,
 *   strokes: Strokes,
 *   upload: BackgroundUpload,
 *   outcome: Outcome | null,
 * }} Step `outcome` is null for the original
 */
/**
 * A repair that runs; `job` is null until the service has taken it.
 * @typedef {{ controller: AbortController, step: Step, progress: Progress, away: boolean, job: RunningJob | null }} Repair
 */
/**
 * `outcome` is missing in records of earlier versions.
 * @typedef {{
 *   id: string,
 *   parent: string | null,
 *   width: number,
 *   height: number,
 *   strokes: StrokesState,
 *   outcome?: Outcome | null,
 * }} StepRecord
 */
/**
 * A work as the browser keeps it; the files of its steps are kept apart. `job` runs for the step `job.step`.
 * @typedef {{
 *   id: string,
 *   owner: string,
 *   name: string,
 *   bytes: number,
 *   at: number,
 *   steps: StepRecord[],
 *   current: string,
 *   job: (RunningJob & { step: string }) | null,
 * }} WorkRecord
 */
/** @typedef {{ id: string, work: string, blob: Blob, view: Blob | null }} FileRecord `id` is the step's */

export class Work {
  id;
  name;
  /** The size of the original's file. */
  bytes;
  /** When the work began, in milliseconds since 1970. */
  at;
  /** @type {[Step, ...Step[]]} */
  steps;
  /** @type {Step} */
  current;
  /** @type {Repair | null} */
  repair = null;
  /** @type {(RunningJob & { step: string }) | null} A job that ran when the page was left. */
  leftJob = null;

  /**
   * @param {{ id: string, name: string, bytes: number, at: number }} facts
   * @param {[Step, ...Step[]]} steps
   */
  constructor({ id, name, bytes, at }, steps) {
    this.id = id;
    this.name = name;
    this.bytes = bytes;
    this.at = at;
    this.steps = steps;
    this.current = steps[0];
  }

  /**
   * A new work on an opened picture.
   * @param {Picture} picture
   * @param {BackgroundUpload} upload
   */
  static begin(picture, upload) {
    const facts = { id: crypto.randomUUID(), name: picture.name, bytes: picture.blob.size, at: Date.now() };
    return new Work(facts, [{ id: crypto.randomUUID(), parent: null, picture, strokes: new Strokes(), upload, outcome: null }]);
  }

  /**
   * The work of a record; null without the file of its original. A step without its file is left out, with those that
   * were painted on it. Throws Unusable.
   * @param {WorkRecord} record
   * @param {FileRecord[]} files
   */
  static async restore(record, files) {
    /** @type {Map<string, Step>} */
    const steps = new Map();
    for (const { id, parent, width, height, strokes, outcome = null } of record.steps) {
      const file = files.find((one) => one.id === id);
      const parentStep = parent === null ? null : steps.get(parent);
      if (!file || parentStep === undefined) continue;
      const picture = await reopenPicture({ name: record.name, blob: file.blob, view: file.view, width, height });
      const upload = new BackgroundUpload(picture, { later: true });
      steps.set(id, { id, parent: parentStep, picture, strokes: Strokes.from(strokes), upload, outcome });
    }
    const [original, ...others] = steps.values();
    if (!original) return null;
    const work = new Work(record, [original, ...others]);
    work.current = steps.get(record.current) ?? original;
    work.leftJob = record.job;
    return work;
  }

  get original() {
    return this.steps[0];
  }

  get isRepaired() {
    return this.steps.length > 1;
  }

  /** Whether a person would lose something without it. */
  get isTouched() {
    return this.isRepaired || this.repair !== null || !this.current.strokes.isEmpty;
  }

  /** The shapes that other pictures may take over: those on the current step, or of its repair; null where there are none. */
  get shapesToRepeat() {
    const step = this.current.strokes.isEmpty ? this.current.parent : this.current;
    return step && !step.strokes.isEmpty ? step.strokes.shapes : null;
  }

  /**
   * Add the result of a repair.
   * @param {Picture} picture
   * @param {Step} parent the step that was repaired
   * @param {Outcome | null} [outcome]
   * @returns {Step}
   */
  add(picture, parent, outcome = null) {
    const step = { id: crypto.randomUUID(), parent, picture, strokes: new Strokes(), upload: new BackgroundUpload(picture, { later: true }), outcome };
    this.steps.push(step);
    this.current = step;
    return step;
  }

  /**
   * Drop a step that nothing was painted on.
   * @param {Step} step
   */
  drop(step) {
    const [original, ...others] = this.steps;
    this.steps = [original, ...others.filter((one) => one !== step)];
    step.picture.preview.close();
  }

  /**
   * Paint shapes of another picture's size on the current step.
   * @param {Shape[]} shapes
   * @param {Size} size
   */
  paint(shapes, size) {
    for (const shape of fittedShapes(shapes, size, this.current.picture)) this.current.strokes.add(shape);
  }

  /** Free the memory of the previews. */
  close() {
    for (const { picture } of this.steps) picture.preview.close();
  }

  /** Decode the previews again. Throws Unusable. */
  async reopen() {
    for (const step of this.steps) {
      step.picture.preview.close();
      step.picture = await reopenPicture(step.picture);
    }
  }

  /**
   * The work as the browser keeps it.
   * @param {string} owner the tab that has it
   * @returns {WorkRecord}
   */
  record(owner) {
    const { id, name, bytes, at, repair } = this;
    const steps = this.steps.map((step) => {
      const { width, height } = step.picture;
      return { id: step.id, parent: step.parent?.id ?? null, width, height, strokes: step.strokes.state, outcome: step.outcome };
    });
    const job = repair?.job ? { ...repair.job, step: repair.step.id } : this.leftJob;
    return { id, owner, name, bytes, at, steps, current: this.current.id, job };
  }
}
