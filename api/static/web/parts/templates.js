// Templates, the known marks: their titles, facts and previews, and a choice of those that are ready.

import { cloneTemplate, createElement } from "../frame/dom.js";
import { callApi } from "../net/api.js";
import { below } from "../net/below.js";
import { samplePreviews } from "../picture/pairs.js";
import { moment } from "../words/states.js";
import { n, number, t } from "../words/texts.js";

/** @import { Page, Template } from "../net/answers.js" */
/** @typedef {ReturnType<typeof newCard>} Card */

const MOST_MARKS = 8; // of a picture
const PAGE_SIZE = 100;

/** @type {Map<string, () => string>} */
const ANCHORS = new Map(Object.entries({
  "top left": () => t("at the upper left corner"),
  top: () => t("at the upper edge"),
  "top right": () => t("at the upper right corner"),
  left: () => t("at the left edge"),
  "": () => t("in the middle"),
  right: () => t("at the right edge"),
  "bottom left": () => t("at the lower left corner"),
  bottom: () => t("at the lower edge"),
  "bottom right": () => t("at the lower right corner"),
}));
const MIDDLES = ["middle", "centre", "center"];
const LOOKS = { mask: () => t("Where it is"), opacity: () => t("How opaque it is"), colour: () => t("Its colour") };

/**
 * The name of a template; one that was found and never named is called by its date.
 * @param {Pick<Template, "name" | "version" | "source_job_id" | "created_at">} template
 */
export function titleOf(template) {
  if (template.source_job_id && template.name === template.source_job_id) return t("Mark found on {date}", { date: moment(template.created_at) });
  return template.version > 1 ? t("{name}, version {count}", { name: template.name, count: number(template.version) }) : template.name;
}

/**
 * The kind of a template, its opacity and its place, in short.
 * @param {Pick<Template, "kind" | "place" | "samples" | "quality">} template
 */
export function factsOf({ kind, place, samples, quality }) {
  const kinds = {
    mask: () => t("A mask: what it marks is filled"),
    logo: () => t("A logo"),
    estimate: () => n("found in 1 picture", "found in {count} pictures", samples ?? 0),
  };
  return [
    kinds[kind](),
    quality?.opacity !== undefined ? t("{percent} % opaque", { percent: number(100 * quality.opacity) }) : "",
    place?.lattice ? t("repeated over the whole picture") : anchorText(place?.anchor),
  ].filter(Boolean).join(" · ");
}

/**
 * An anchor in words. Masks write `top_left`, templates `top-left`; the middle of a side has no word of its own.
 * @param {string | undefined} anchor
 */
function anchorText(anchor) {
  if (anchor === undefined) return "";
  const side = anchor.split(/[-_]/).filter((word) => !MIDDLES.includes(word)).join(" ");
  return ANCHORS.get(side)?.() ?? "";
}

/**
 * Figures of a template: its mask, opacity and colour.
 * @param {Pick<Template, "previews">} template
 */
export function looksOf({ previews }) {
  return Object.entries(LOOKS).flatMap(([name, text]) => {
    const source = previews[name];
    return source ? [createElement("figure", { class: "look" }, imageOf(source), createElement("figcaption", { class: "small soft" }, text()))] : [];
  });
}

/**
 * The samples of a template, each with its mark and without.
 * @param {Pick<Template, "previews">} template
 */
export function samplesOf({ previews }) {
  return samplePreviews(previews).map((pair) => pair.map(imageOf));
}

/** @param {string} source */
function imageOf(source) {
  return createElement("img", { src: source, alt: "", loading: "lazy", decoding: "async", draggable: "false" });
}

/**
 * The address of the picture that stands for a template.
 * @param {Pick<Template, "previews">} template
 */
export function lookOf({ previews }) {
  return previews.colour ?? previews.mask;
}

/** A choice of templates. A mask is chosen alone; other marks can be chosen together. */
export class TemplateChoice {
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #place;
  #none;
  #onChange;

  /**
   * @param {HTMLElement} place
   * @param {HTMLElement} none shown where there are no templates
   * @param {() => void} onChange
   */
  constructor(place, none, onChange) {
    this.#place = place;
    this.#none = none;
    this.#onChange = onChange;
  }

  /** The ids of the chosen templates. */
  get chosen() {
    return [...this.#cards].filter(([, card]) => card.box.checked).map(([id]) => id);
  }

  /** Fetch the templates that are ready, newest first; chosen ones stay chosen. */
  async load() {
    /** @type {string | null} */
    let cursor = null;
    do {
      const query = new URLSearchParams({ state: "ready", limit: String(PAGE_SIZE), ...(cursor && { cursor }) });
      const page = /** @type {Page<Template>} */ (await callApi("GET", `/v1/templates?${query}`));
      for (const template of page.data) if (!this.#cards.has(template.id)) this.#add(template);
      cursor = page.next_cursor;
    } while (cursor);
    this.#none.hidden = this.#cards.size > 0;
  }

  /** @param {Template} template */
  #add(template) {
    const card = newCard(template);
    card.box.addEventListener("change", () => { this.#choose(card); });
    this.#cards.set(template.id, card);
    this.#place.append(card.root);
  }

  /** @param {Card} card */
  #choose(card) {
    const others = [...this.#cards.values()].filter((other) => other !== card && other.box.checked);
    const excluded = others.filter((other) => card.alone || other.alone || others.length >= MOST_MARKS);
    if (card.box.checked) for (const other of excluded) other.box.checked = false;
    this.#onChange();
  }
}

/** @param {Template} template */
function newCard(template) {
  const card = cloneTemplate("template-choice", {
    box: HTMLInputElement, picture: HTMLImageElement, name: HTMLElement, facts: HTMLElement,
  });
  card.name.textContent = titleOf(template);
  card.facts.textContent = factsOf(template);
  const look = lookOf(template);
  card.picture.hidden = !look;
  if (look) card.picture.src = below(look);
  return { ...card, alone: template.kind === "mask" };
}
