// A pair looked at closely: the stage of the page for one picture, first with what is there soon, then with the whole.

import { Comparison } from "./comparison.js";
import { element } from "../frame/dom.js";
import { Gestures } from "./gestures.js";
import { Strokes } from "./strokes.js";
import { t } from "../words/texts.js";
import { View } from "./view.js";

const at = (id) => document.getElementById(id);

export class Zoom {
  #all = [];
  #current = null;
  #loading = null;
  #view = new View(at("canvas"), () => this.#comparison.follow());
  #comparison = new Comparison(
    this.#view,
    { divider: at("divider"), range: at("divider-range"), labels: [at("label-before"), at("label-after")] },
    () => {},
  );

  constructor() {
    new Gestures(at("canvas"), this.#view, {
      tool: "hand", size: 1, comparing: true, locked: true,
      finished() {}, resized() {}, divided() {}, touched: () => at("canvas").focus({ preventScroll: true }),
    });
    const clicks = {
      "zoom-close": () => at("zoom").close(), "zoom-in": () => this.#view.zoom(1.4), "zoom-out": () => this.#view.zoom(1 / 1.4),
      "zoom-fit": () => this.#view.fit(), "zoom-previous": () => this.#step(-1), "zoom-next": () => this.#step(1),
    };
    for (const [id, act] of Object.entries(clicks)) at(id).addEventListener("click", act);
    at("zoom").addEventListener("keydown", (event) => {
      const by = { PageUp: -1, PageDown: 1 }[event.key];
      const factor = { "+": 1.4, "=": 1.4, "-": 1 / 1.4 }[event.key];
      if (by) this.#step(by);
      else if (factor) this.#view.zoom(factor);
      else if (event.key === "0") this.#view.fit();
      else return;
      event.preventDefault();
    });
    at("zoom").addEventListener("close", () => {
      this.#loading?.abort();
      this.#current = null;
    });
  }

  /** Look at one of these pairs (pairs.js); the others are stepped through. */
  async open(pair, all) {
    if (!at("zoom").open) {
      this.#comparison.middle();
      at("zoom").showModal();
    }
    this.#loading?.abort();
    const { signal } = (this.#loading = new AbortController());
    [this.#current, this.#all] = [pair, all];
    at("zoom-name").textContent = pair.name;
    at("zoom-facts").textContent = pair.facts;
    at("zoom-download").hidden = !pair.download;
    if (pair.download) at("zoom-download").href = pair.download;
    const place = this.#place();
    at("zoom-previous").disabled = place <= 0;
    at("zoom-next").disabled = place < 0 || place === all.length - 1;
    at("zoom-keys").textContent = t("Loading…");
    try {
      const soon = await pair.soon(signal);
      signal.throwIfAborted(); // another is looked at by now
      this.#show(soon);
      this.#view.fit();
      const said = await this.#whole(pair, signal);
      signal.throwIfAborted();
      at("zoom-keys").textContent = said;
    } catch (error) {
      if (signal.aborted) return;
      at("zoom-keys").replaceChildren(element("span", { lang: "en" }, error.message));
    }
  }

  async #whole(pair, signal) {
    if (!pair.whole) return pair.hint;
    try {
      const found = await pair.whole(signal);
      signal.throwIfAborted();
      this.#show(found);
      return t("Drag the picture to move it, the divider to compare; the wheel enlarges.");
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return pair.hint;
    }
  }

  #show([before, after]) {
    this.#view.show(after, new Strokes());
    this.#comparison.begin(before, { stay: true });
  }

  #place() {
    return this.#all.findIndex((pair) => pair.key === this.#current?.key);
  }

  #step(by) {
    const next = this.#all[this.#place() + by];
    if (next) this.open(next, this.#all);
  }
}
