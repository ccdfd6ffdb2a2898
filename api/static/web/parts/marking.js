// The mark of all pictures of a job: painted or boxed on a sample, a mask's file, a template, text, or one to be found.

import { uploadFile } from "../files/upload.js";
import { buttonById, byId, inputById, optionalById } from "../frame/dom.js";
import { fetchView, latestOnly, retryWhileAway } from "../net/api.js";
import { Gestures } from "../picture/gestures.js";
import { openPicture, openServiceView } from "../picture/picture.js";
import { maskFile } from "../picture/runlengths.js";
import { Strokes } from "../picture/strokes.js";
import { View } from "../picture/view.js";
import { t } from "../words/texts.js";
import { drawingBench } from "./drawing.js";
import { TemplateChoice } from "./templates.js";
import { TextMark } from "./textmark.js";

/** @import { Bounds } from "../picture/strokes.js" */
/** @import { Limits, Picture } from "../picture/picture.js" */
/** @import { Tool } from "../picture/gestures.js" */
/** @typedef {typeof WAYS[number]} Way */
/** @typedef {{ anchor?: string, scale?: string }} PlacementOptions how a mask is laid on pictures of other sizes */

export const WAYS = /** @type {const} */ (["paint", "find", "template", "text", "boxes", "file", "list"]);

export class Marking {
  /** @type {Way} */
  way = "paint";
  /** @type {File | null} The mask's file. */
  file = null;
  /** @type {TemplateChoice} */
  templates;
  /** @type {TextMark | null} Null where the service finds no text marks. */
  text = null;
  /** @type {Tool} */
  #tool = "brush";
  #strokes = newStrokes();
  #view = new View(byId("canvas", HTMLCanvasElement), () => {});
  #onChange;
  #limits;
  #latest = latestOnly();
  /** @type {{ name: string, blob: Blob } | null} The file of the sample that is shown. */
  #sampleFile = null;

  /**
   * @param {Limits} limits
   * @param {() => void} onChange
   */
  constructor(limits, onChange) {
    this.#limits = limits;
    this.#onChange = onChange;
    this.templates = new TemplateChoice(byId("templates"), byId("templates-none"), onChange);
    if (optionalById("texts-said")) this.text = new TextMark(onChange);
    const canvas = byId("canvas", HTMLCanvasElement);
    new Gestures(canvas, this.#view, drawingBench(canvas, inputById("size"), {
      tool: () => this.tool,
      picture: () => this.sample,
      onShape: (shape) => { this.#change((strokes) => { strokes.add(shape); }); },
    }));
    buttonById("undo").addEventListener("click", () => { this.#change((strokes) => { strokes.undo(); }); });
    buttonById("clear").addEventListener("click", () => { this.#change((strokes) => { strokes.add({ kind: "clear" }); }); });
  }

  /** @returns {Tool} */
  get tool() {
    return this.drawsBoxes && this.#tool !== "hand" ? "rectangle" : this.#tool;
  }

  set tool(tool) {
    this.#tool = tool;
    this.#onChange();
  }

  /** The sample that is shown, or null. */
  get sample() {
    return this.#view.scene.picture;
  }

  get canUndo() {
    return this.#current.canUndo;
  }

  /** Whether the mark is looked for in each picture, and what is below it recovered. */
  get isLookedFor() {
    return this.way === "find" || this.way === "template" || (this.way === "paint" && inputById("paint-find").checked);
  }

  /** Whether only boxes can be drawn. */
  get drawsBoxes() {
    return this.way === "boxes" || this.way === "text";
  }

  /** Whether a person draws on a sample. */
  get drawsOnSample() {
    return this.way === "paint" || this.way === "boxes" || (this.way === "text" && this.text?.isDrawn === true);
  }

  /** The next thing that the person has to do; null where nothing is missing. */
  get missing() {
    if (this.way === "text" && this.text) return this.text.missing(this.#boxes);
    return this.#isComplete ? null : t("Still missing: the mark.");
  }

  get #isComplete() {
    if (this.way === "list" || this.way === "find") return true;
    if (this.way === "template") return this.templates.chosen.length > 0;
    if (this.way === "file") return this.file !== null;
    return this.sample !== null && !this.#current.isEmpty;
  }

  /**
   * Show a sample to mark; a later request replaces this one. Strokes stay if its size is the same. Throws Unusable.
   * @param {Blob} blob
   * @param {string} name
   */
  async show(blob, name) {
    await this.#show(openPicture(blob, name, this.#limits), { blob, name });
  }

  /**
   * Show an upload that the browser cannot show itself. Throws Problem.
   * @param {string} id
   * @param {Blob} blob
   * @param {string} name
   */
  async showUploaded(id, blob, name) {
    const opening = async () => openServiceView(blob, name, await retryWhileAway(() => fetchView(`/v1/uploads/${id}/view`)));
    await this.#show(opening(), { blob, name });
  }

  /**
   * @param {Promise<Picture>} opening
   * @param {{ name: string, blob: Blob }} file
   */
  async #show(opening, file) {
    const picture = await this.#latest(opening);
    if (!picture) return;
    this.#sampleFile = file;
    const before = this.sample;
    if (before && (before.width !== picture.width || before.height !== picture.height)) this.#strokes = newStrokes();
    byId("marking-none").hidden = true;
    this.#view.show(picture, this.#current);
    this.#view.fit();
    this.#onChange();
  }

  /**
   * Mark in another way.
   * @param {Way} way
   */
  choose(way) {
    this.way = way;
    if (this.sample) {
      this.#view.scene.strokes = this.#current;
      this.#view.repaint();
    }
    this.#onChange();
  }

  /**
   * The part of a job's body that gives the mark; files are uploaded. Null where nothing is marked.
   * @param {PlacementOptions} placement
   * @returns {Promise<{ mask?: object } | null>}
   */
  async body(placement) {
    const { width, height } = this.sample ?? { width: 0, height: 0 };
    const boxes = this.#boxes;
    switch (this.way) {
      case "list":
        return {};
      case "find": {
        const logo = inputById("find-logo").files?.[0];
        const approve = inputById("find-approve").checked ? "auto" : "person";
        return { mask: { mode: "auto", approve, ...(logo && { logo_upload_id: await uploadFile(logo.name, logo) }) } };
      }
      case "template":
        return { mask: { templates: this.templates.chosen } };
      case "file":
        return this.file && { mask: { upload_id: await uploadFile(this.file.name, this.file), ...placement } };
      case "text":
        return this.text && { mask: this.text.mask(boxes, width, height) };
      case "boxes":
        return boxes.length ? { mask: { boxes, size: [width, height], ...placement } } : null;
      case "paint": {
        const mask = await maskFile(this.#current, width, height);
        if (!mask) return null;
        const upload_id = await uploadFile("mask.json", mask);
        if (!this.isLookedFor || !this.#sampleFile) return { mask: { upload_id, ...placement } };
        const { name, blob } = this.#sampleFile;
        return { mask: { mode: "auto", painted: { upload_id: await uploadFile(name, blob), mask_upload_id: upload_id } } };
      }
    }
  }

  /** The anchor nearest to the marks: a corner, a side, or the center; null without marks. */
  get nearestAnchor() {
    const bounds = this.sample && this.#current.bounds(this.sample.width, this.sample.height);
    return this.sample && bounds ? nearestAnchor(bounds, this.sample) : null;
  }

  get #current() {
    return this.way === "boxes" || this.way === "text" ? this.#strokes[this.way] : this.#strokes.paint;
  }

  get #boxes() {
    return this.sample ? this.#current.boxes(this.sample.width, this.sample.height) : [];
  }

  /** @param {(strokes: Strokes) => void} act */
  #change(act) {
    act(this.#current);
    this.#view.repaint();
    this.#onChange();
  }
}

/**
 * @param {Bounds} bounds
 * @param {{ width: number, height: number }} picture
 */
export function nearestAnchor([left, top, right, bottom], { width, height }) {
  /**
   * @param {number} middle
   * @param {number} whole
   * @param {[string, string, string]} names
   */
  const nearest = (middle, whole, names) => names[Math.min(2, Math.floor((3 * middle) / whole))];
  const across = nearest((left + right) / 2, width, ["left", "", "right"]);
  const down = nearest((top + bottom) / 2, height, ["top", "", "bottom"]);
  return [down, across].filter(Boolean).join("_") || "center";
}

/** One set of strokes for each way of drawing. */
function newStrokes() {
  return { paint: new Strokes(), boxes: new Strokes(), text: new Strokes() };
}
