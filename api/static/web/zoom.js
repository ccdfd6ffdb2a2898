// A pair looked at closely: the stage of the page for one picture, first with the small pictures, then with the whole ones.

import { fetchBlob, patiently } from "./api.js";
import { Comparison } from "./comparison.js";
import { element } from "./dom.js";
import { Gestures } from "./gestures.js";
import { openPicture } from "./picture.js";
import { Strokes } from "./strokes.js";
import { number, t } from "./texts.js";
import { View } from "./view.js";

const at = (id) => document.getElementById(id);
const LIMITS = { bytes: 60e6, pixels: 100e6 };

export class Zoom {
  #images;
  #current = null;
  #loading = null;
  #view = new View(at("canvas"), () => this.#comparison.follow());
  #comparison = new Comparison(
    this.#view,
    { divider: at("divider"), range: at("divider-range"), labels: [at("label-before"), at("label-after")] },
    () => {},
  );

  /** `images()` are those to step through. */
  constructor(images) {
    this.#images = images;
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

  /** Look at an image that has a preview. */
  async open(image) {
    if (!at("zoom").open) at("zoom").showModal();
    this.#loading?.abort();
    const { signal } = (this.#loading = new AbortController());
    this.#current = image;
    at("zoom-name").textContent = image.name;
    at("zoom-facts").textContent = t("{width} × {height} pixels", { width: number(image.width), height: number(image.height) });
    at("zoom-download").hidden = !image.result_url;
    if (image.result_url) at("zoom-download").href = image.result_url;
    const shown = this.#shown();
    const place = shown.indexOf(image);
    at("zoom-previous").disabled = place <= 0;
    at("zoom-next").disabled = place < 0 || place === shown.length - 1;
    at("zoom-keys").textContent = t("Loading…");
    try {
      this.#show(await small(image, signal));
      this.#view.fit();
      at("zoom-keys").textContent = await this.#whole(image, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      at("zoom-keys").replaceChildren(element("span", { lang: "en" }, error.message));
    }
  }

  async #whole(image, signal) {
    const sharp = t("Drag the picture to move it, the divider to compare; the wheel enlarges.");
    if (image.source_url) return t("The original is not kept here: these are small pictures.");
    try {
      const [before, after] = await Promise.all(
        [`/v1/images/${image.id}/source`, image.result_url].map(async (path) => openPicture(await patiently(() => fetchBlob(path, signal), { signal }), image.name, LIMITS)),
      );
      signal.throwIfAborted();
      this.#show([before, after]);
      return sharp;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return t("The browser cannot show the files themselves: these are small pictures.");
    }
  }

  #show([before, after]) {
    this.#view.show(after, new Strokes());
    this.#comparison.begin(before);
  }

  #shown() {
    return this.#images().filter((image) => image.preview_url);
  }

  #step(by) {
    const shown = this.#shown();
    const next = shown[shown.findIndex((image) => image.id === this.#current?.id) + by];
    if (next) this.open(next);
  }
}

/** The two halves of a preview as pictures of the whole picture's size. */
async function small(image, signal) {
  const blob = await patiently(() => fetchBlob(image.preview_url, signal), { signal });
  const { width, height } = image.record.preview;
  const halves = await Promise.all([0, height].map((top) => createImageBitmap(blob, 0, top, width, height)));
  return halves.map((preview) => ({
    name: image.name, blob, width: image.width, height: image.height, preview, scale: width / image.width,
  }));
}
