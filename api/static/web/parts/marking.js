// What is to be repaired in all pictures of a job: painted or boxed on a sample, a mask's file, a template, text, or a mark
// that is still to be found.

import { fetchView, newest, patiently } from "../net/api.js";
import { Gestures } from "../picture/gestures.js";
import { openPicture, openViewed } from "../picture/picture.js";
import { maskFile } from "../picture/runlengths.js";
import { Strokes } from "../picture/strokes.js";
import { Templates } from "./templates.js";
import { TextMark } from "./textmark.js";
import { t } from "../words/texts.js";
import { upload } from "../files/upload.js";
import { View } from "../picture/view.js";

const at = (id) => document.getElementById(id);

export class Marking {
  /** `paint`, `find`, `template`, `text`, `boxes`, `file` or `list`. */
  way = "paint";
  file = null;
  templates;
  /** Null where the service finds no text marks. */
  text = null;
  #tool = "brush";
  #strokes = { paint: new Strokes(), boxes: new Strokes(), text: new Strokes() };
  #view = new View(at("canvas"), () => {});
  #changed;
  #limits;
  #chosen = newest();

  constructor(limits, changed) {
    this.#limits = limits;
    this.#changed = changed;
    this.templates = new Templates(at("templates"), at("templates-none"), changed);
    if (at("texts-said")) this.text = new TextMark(changed);
    const marking = this;
    new Gestures(at("canvas"), this.#view, {
      get tool() {
        return marking.tool;
      },
      get size() {
        return marking.#brush;
      },
      comparing: false,
      get locked() {
        return !marking.#view.scene.picture;
      },
      finished: (shape) => this.#change((strokes) => strokes.add(shape)),
      resized: (factor) => (at("size").value = Math.max(0, Math.min(100, Number(at("size").value) + Math.log(factor) * 18))),
      divided() {},
      touched: () => at("canvas").focus({ preventScroll: true }),
    });
    at("undo").addEventListener("click", () => this.#change((strokes) => strokes.undo()));
    at("clear").addEventListener("click", () => this.#change((strokes) => strokes.add({ kind: "clear" })));
  }

  get tool() {
    return this.boxed && this.#tool !== "hand" ? "rectangle" : this.#tool;
  }

  set tool(name) {
    this.#tool = name;
    this.#changed();
  }

  get sample() {
    return this.#view.scene.picture;
  }

  get canUndo() {
    return this.#here.canUndo;
  }

  /** Whether what is drawn are boxes and nothing else. */
  get boxed() {
    return this.way === "boxes" || this.way === "text";
  }

  /** Whether something is drawn on a sample. */
  get onSample() {
    return this.way === "paint" || this.way === "boxes" || (this.way === "text" && this.text.drawn);
  }

  /** What it does not say yet of what is to be repaired; null where it is whole. */
  get missing() {
    if (this.way === "text") return this.text.missing(this.#boxes);
    return this.#whole ? null : t("Still missing: the mark.");
  }

  get #whole() {
    if (this.way === "list" || this.way === "find") return true;
    if (this.way === "template") return this.templates.chosen.length > 0;
    if (this.way === "file") return this.file !== null;
    return this.sample !== null && !this.#here.empty;
  }

  /**
   * Show a sample to mark, unless one that was asked for later is shown by then; what was marked on the one before stays
   * where its size is the same. Throws Unusable.
   */
  async show(blob, name) {
    await this.#show(openPicture(blob, name, this.#limits));
  }

  /** The same of an upload that the browser cannot show itself. Throws Problem. */
  async showUploaded(id, blob, name) {
    await this.#show(patiently(() => fetchView(`/v1/uploads/${id}/view`)).then((view) => openViewed(blob, name, view)));
  }

  async #show(opening) {
    const picture = await this.#chosen(opening);
    if (!picture) return;
    const before = this.sample;
    if (before && (before.width !== picture.width || before.height !== picture.height)) {
      this.#strokes = { paint: new Strokes(), boxes: new Strokes(), text: new Strokes() };
    }
    at("marking-none").hidden = true;
    this.#view.show(picture, this.#here);
    this.#view.fit();
    this.#changed();
  }

  turn(way) {
    this.way = way;
    if (this.sample) {
      this.#view.scene.strokes = this.#here;
      this.#view.repaint();
    }
    this.#changed();
  }

  /** As the API takes it; files are sent. `place`: `{anchor, scale}`, or nothing. Null where nothing is marked. */
  async asked(place, options) {
    if (this.way === "list") return {};
    if (this.way === "find") return { mask: { mode: "auto", approve: at("find-approve").checked ? "auto" : "person" } };
    if (this.way === "template") return { mask: { templates: this.templates.chosen } };
    if (this.way === "file") return { mask: { upload_id: await upload(this.file.name, this.file, options), ...place } };
    const { width, height } = this.sample ?? {};
    const boxes = this.#boxes;
    if (this.way === "text") return { mask: this.text.asked(boxes, width, height) };
    if (this.way === "boxes") {
      return boxes.length ? { mask: { boxes, size: [width, height], ...place } } : null;
    }
    const mask = await maskFile(this.#here, width, height);
    return mask && { mask: { upload_id: await upload("mask.json", mask, options), ...place } };
  }

  /** The corner, side or centre that the marks are nearest to. */
  get nearest() {
    const box = this.sample && this.#here.bounds(this.sample.width, this.sample.height);
    if (!box) return null;
    const third = (low, high, whole, names) => names[Math.min(2, Math.floor((3 * (low + high)) / 2 / whole))];
    const across = third(box[0], box[2], this.sample.width, ["left", "", "right"]);
    const down = third(box[1], box[3], this.sample.height, ["top", "", "bottom"]);
    return [down, across].filter(Boolean).join("_") || "center";
  }

  get #here() {
    return this.#strokes[this.way] ?? this.#strokes.paint;
  }

  get #boxes() {
    return this.sample ? this.#here.marks(this.sample.width, this.sample.height) : [];
  }

  get #brush() {
    // The slider is logarithmic, and a share of the picture: the same stroke in every zoom.
    const { width, height } = this.sample ?? { width: 1, height: 1 };
    return Math.max(1, (2 * 300 ** (at("size").value / 100) * Math.max(width, height)) / 1000);
  }

  #change(act) {
    act(this.#here);
    this.#view.repaint();
    this.#changed();
  }
}
