// Painting over the mark on one of the rejected pictures: the mask of its next try, also for others of its size.

import { uploadFile } from "../files/upload.js";
import { buttonById, byId, createElement, inputById, selectById, setText } from "../frame/dom.js";
import { notifyError } from "../frame/notices.js";
import { latestOnly } from "../net/api.js";
import { Gestures } from "../picture/gestures.js";
import { pairOfImage } from "../picture/pairs.js";
import { maskFile } from "../picture/runlengths.js";
import { Strokes } from "../picture/strokes.js";
import { View } from "../picture/view.js";
import { n, t } from "../words/texts.js";
import { drawingBench } from "./drawing.js";
import { Results } from "./results.js";
import { markTool, onToolChoice } from "./toolbox.js";

/** @import { Image } from "../net/answers.js" */
/** @import { Tool } from "../picture/gestures.js" */
/** @import { Picture } from "../picture/picture.js" */

/** Images that one request names at most. */
export const MOST_IMAGES = 1000;
/** @type {Tool[]} */
const TOOLS = ["brush", "eraser", "rectangle", "hand"];

export class Repaint {
  #path;
  #onChange;
  /** The rejected ones that were not done again. @type {Image[]} */
  #images = [];
  /** @type {Image | null} */
  #image = null;
  /** @type {Tool} */
  #tool = "brush";
  #strokes = new Strokes();
  #canvas = byId("paint-canvas", HTMLCanvasElement);
  #view = new View(this.#canvas, () => {});
  #latest = latestOnly();

  /**
   * @param {string} path of the job
   * @param {() => void} onChange
   */
  constructor(path, onChange) {
    this.#path = path;
    this.#onChange = onChange;
    new Gestures(this.#canvas, this.#view, drawingBench(this.#canvas, inputById("paint-size"), {
      tool: () => this.#tool,
      picture: () => this.#view.scene.picture,
      onShape: (shape) => { this.#change((strokes) => { strokes.add(shape); }); },
    }));
    onToolChoice(byId("paint-tools"), TOOLS, (tool) => { this.#choose(tool); });
    buttonById("paint-undo").addEventListener("click", () => { this.#change((strokes) => { strokes.undo(); }); });
    buttonById("paint-clear").addEventListener("click", () => { this.#change((strokes) => { strokes.add({ kind: "clear" }); }); });
    selectById("paint-picture").addEventListener("change", () => {
      const image = this.#images.find(({ id }) => id === selectById("paint-picture").value);
      if (image) this.#show(image).catch(notifyError);
    });
    this.#choose("brush");
  }

  /** Whether something is painted. */
  get isReady() {
    return this.#view.scene.picture !== null && !this.#strokes.isEmpty;
  }

  /**
   * Offer the rejected pictures, first the one that the person looks at.
   * @param {Image | null} current
   */
  async open(current) {
    setText(byId("paint-note"), t("Loading…"));
    const results = new Results(`${this.#path}/images`, "rejected");
    while (!results.complete && results.images.length < MOST_IMAGES) await results.loadMore();
    this.#images = results.images.filter(({ replaced_by }) => !replaced_by).slice(0, MOST_IMAGES);
    const options = this.#images.map(({ id, name }) => createElement("option", { value: id }, name));
    selectById("paint-picture").replaceChildren(...options);
    const first = this.#images.find(({ id }) => id === current?.id) ?? this.#images[0];
    if (first) await this.#show(first);
    else setText(byId("paint-note"), t("All rejected pictures are being done again already."));
  }

  /**
   * The images of the next try, and their mask, which is sent. Null where nothing is painted.
   * @returns {Promise<{ images: string[], upload: string } | null>}
   */
  async take() {
    const { picture } = this.#view.scene;
    if (!picture || !this.#image) return null;
    const mask = await maskFile(this.#strokes, picture.width, picture.height);
    if (!mask) return null;
    const others = inputById("paint-others").checked ? this.#others : [];
    return { images: [this.#image, ...others].map(({ id }) => id), upload: await uploadFile("mask.json", mask) };
  }

  /** The other rejected pictures of the size of the one that is painted on. */
  get #others() {
    const { id, width, height } = this.#image ?? {};
    return this.#images.filter((image) => image.id !== id && image.width === width && image.height === height);
  }

  /** @param {Image} image */
  async #show(image) {
    selectById("paint-picture").value = image.id;
    const picture = await this.#latest(openOriginal(image));
    if (picture === null) setText(byId("paint-note"), t("The picture cannot be shown"));
    if (!picture) return;
    const before = this.#view.scene.picture;
    if (before && (before.width !== picture.width || before.height !== picture.height)) this.#strokes = new Strokes();
    this.#image = image;
    setText(byId("paint-note"), "");
    this.#view.show(picture, this.#strokes);
    this.#view.fit();
    before?.preview.close();
    const others = this.#others.length;
    byId("paint-others-line").hidden = !others;
    setText(byId("paint-others-text"), n("also for the other rejected picture of this size", "also for the {count} other rejected pictures of this size", others));
    this.#onChange();
  }

  /** @param {Tool} tool */
  #choose(tool) {
    this.#tool = tool;
    byId("paint-stage").dataset.tool = tool;
    markTool(byId("paint-tools"), tool);
  }

  /** @param {(strokes: Strokes) => void} act */
  #change(act) {
    act(this.#strokes);
    this.#view.repaint();
    buttonById("paint-undo").disabled = !this.#strokes.canUndo;
    this.#onChange();
  }
}

/**
 * The picture before its repair; a small one of its size where the file is not kept, or the browser cannot show it.
 * @param {Image} image
 * @returns {Promise<Picture | null>} null where the service has none
 */
async function openOriginal(image) {
  const pair = pairOfImage(image);
  const { signal } = new AbortController();
  const whole = await pair?.openWhole?.(signal).catch(() => null); // the small one stands in
  const [before, after] = whole ?? (await pair?.openPreview(signal)) ?? [];
  after?.preview.close();
  return before ?? null;
}
