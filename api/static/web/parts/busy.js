// The progress of a repair over the stage, and whether the service is away. Meanwhile the mask shimmers.

import { byId, query } from "../frame/dom.js";
import { t } from "../words/texts.js";

/** @import { Progress } from "../net/repairing.js" */
/** @import { View } from "../picture/view.js" */

const SHIMMER_MS = 220;
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export class Busy {
  #view;
  /** @type {Progress | null} Null while nothing is repaired. */
  #progress = null;

  /** @param {View} view */
  constructor(view) {
    this.#view = view;
  }

  begin() {
    byId("busy").hidden = false;
    this.#show({ stage: "sending", share: 0 });
    requestAnimationFrame((now) => { this.#shimmer(now); });
  }

  /**
   * Show progress; what arrives after the end is ignored.
   * @param {Progress} progress
   */
  report(progress) {
    if (this.#progress) this.#show(progress);
  }

  /**
   * Show that the service is away, or back.
   * @param {boolean} away
   */
  reportAway(away) {
    if (!this.#progress) return;
    if (away) byId("busy-text").textContent = t("The service does not answer. Trying again…");
    else this.#show(this.#progress);
  }

  end() {
    this.#progress = null;
    byId("busy").hidden = true;
    this.#view.scene.shimmer = 0;
  }

  /** @param {Progress} progress */
  #show(progress) {
    this.#progress = progress;
    const bar = query(byId("busy"), "progress", HTMLProgressElement);
    const share = shareOf(progress);
    if (share) bar.value = share;
    else bar.removeAttribute("value");
    byId("busy-text").textContent = progressText(progress);
  }

  /** @param {number} now */
  #shimmer(now) {
    if (!this.#progress) return;
    this.#view.scene.shimmer = reducedMotion.matches ? 0.5 : 0.5 + 0.5 * Math.sin(now / SHIMMER_MS);
    this.#view.redraw();
    requestAnimationFrame((later) => { this.#shimmer(later); });
  }
}

/**
 * The known share of the present stage, 0 to 1, or null.
 * @param {Progress} progress
 */
function shareOf(progress) {
  if (progress.stage === "sending") return progress.share;
  if (progress.stage === "repairing" && progress.total) return progress.done / progress.total;
  return null;
}

/** @param {Progress} progress */
function progressText(progress) {
  switch (progress.stage) {
    case "sending": {
      const partly = progress.share > 0 && progress.share < 1;
      return partly ? t("Sending the picture, {percent} %", { percent: Math.round(progress.share * 100) }) : t("Sending the picture");
    }
    case "waiting":
      return t("Waiting for a worker");
    case "searching":
      return t("Looking for the mark");
    case "repairing": {
      const { done, total } = progress;
      return total ? t("Repairing: tile {done} of {total}", { done: Math.min(done + 1, total), total }) : t("Repairing");
    }
    case "fetching":
      return t("Fetching the result");
  }
}
