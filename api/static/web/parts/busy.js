// What is said while a picture is repaired: how far it is, whether the service is away; meanwhile its mask shimmers.

import { t } from "../words/texts.js";

const at = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Busy {
  #view;
  #on = false;
  #told = null; // the last state

  constructor(view) {
    this.#view = view;
  }

  begin() {
    this.#on = true;
    at("busy").hidden = false;
    this.tell({ stage: "sending", share: 0 });
    requestAnimationFrame((now) => this.#shimmer(now));
  }

  /** `{stage, share, tiles}` as repairing.js tells it; what comes after the end is not said. */
  tell(state) {
    if (!this.#on) return;
    this.#told = state;
    const { stage, share, tiles } = state;
    const bar = at("busy").querySelector("progress");
    const known = stage === "sending" ? share : tiles?.[1] ? tiles[0] / tiles[1] : null;
    if (known) bar.value = known;
    else bar.removeAttribute("value");
    at("busy-text").textContent = {
      sending: () => (share > 0 && share < 1 ? t("Sending the picture, {percent} %", { percent: Math.round(share * 100) }) : t("Sending the picture")),
      waiting: () => t("Waiting for a worker"),
      repairing: () => (tiles?.[1] ? t("Repairing: tile {done} of {total}", { done: Math.min(tiles[0] + 1, tiles[1]), total: tiles[1] }) : t("Repairing")),
      fetching: () => t("Fetching the result"),
    }[stage]();
  }

  /** Whether the service is away. */
  away(away) {
    if (!this.#on) return;
    if (away) at("busy-text").textContent = t("The service does not answer. Trying again…");
    else this.tell(this.#told);
  }

  end() {
    this.#on = false;
    at("busy").hidden = true;
    this.#view.scene.shimmer = 0;
  }

  #shimmer(now) {
    if (!this.#on) return;
    this.#view.scene.shimmer = still.matches ? 0.5 : 0.5 + 0.5 * Math.sin(now / 220);
    this.#view.redraw();
    requestAnimationFrame((later) => this.#shimmer(later));
  }
}
