// Templates, marks that are known: what is said of one, and a choice of those that are ready.

import { below, call } from "../net/api.js";
import { element, part } from "../frame/dom.js";
import { moment } from "../words/states.js";
import { n, number, t } from "../words/texts.js";

const MOST = 8; // marks that a picture may have
const PART = 100;

const ANCHORS = {
  "top left": () => t("at the upper left corner"), top: () => t("at the upper edge"), "top right": () => t("at the upper right corner"),
  left: () => t("at the left edge"), "": () => t("in the middle"), right: () => t("at the right edge"),
  "bottom left": () => t("at the lower left corner"), bottom: () => t("at the lower edge"), "bottom right": () => t("at the lower right corner"),
};

const LOOKS = { mask: () => t("Where it is"), opacity: () => t("How opaque it is"), colour: () => t("Its colour") };

/** What people call it: its name, or when it was found where it was never named. */
export function titleOf(template) {
  if (template.source_job_id && template.name === template.source_job_id) return t("Mark found on {date}", { date: moment(template.created_at) });
  return template.version > 1 ? t("{name}, version {count}", { name: template.name, count: number(template.version) }) : template.name;
}

/** What it is and where it sits, in short. */
export function factsOf({ kind, place, samples, quality }) {
  return [
    kind === "mask" ? t("A mask: what it marks is filled") : kind === "logo" ? t("A logo") : n("found in 1 picture", "found in {count} pictures", samples ?? 0),
    quality ? t("{percent} % opaque", { percent: number(100 * quality.opacity) }) : "",
    place?.lattice ? t("repeated over the whole picture") : (ANCHORS[sideOf(place?.anchor)]?.() ?? ""),
  ].filter(Boolean).join(" · ");
}

/** An anchor as `top left`: masks and templates write it each in their own way. */
function sideOf(anchor) {
  return anchor?.split(/[-_]/).filter((word) => !["middle", "centre", "center"].includes(word)).join(" ");
}

/** Where it is, how opaque and in which colour, as figures. */
export function looksOf({ previews }) {
  return Object.entries(LOOKS).filter(([name]) => previews[name]).map(([name, text]) => (
    element("figure", { class: "look" }, picture(previews[name]), element("figcaption", { class: "small soft" }, text()))
  ));
}

/** Its samples: of each the picture with the mark and the one without it. */
export function samplesOf({ previews }) {
  const count = Object.keys(previews).filter((name) => name.startsWith("before-")).length;
  return Array.from({ length: count }, (_, index) => [picture(previews[`before-${index + 1}`]), picture(previews[`after-${index + 1}`])]);
}

function picture(source) {
  return element("img", { src: source, alt: "", loading: "lazy", decoding: "async", draggable: "false" });
}

/** Cards to choose from. A mask stands alone; marks may be chosen together. */
export class Templates {
  #cards = new Map();
  #place;
  #none;
  #changed;

  /** `none` is shown where there are none; `changed()` is told when the choice is another. */
  constructor(place, none, changed) {
    this.#place = place;
    this.#none = none;
    this.#changed = changed;
  }

  get chosen() {
    return [...this.#cards].filter(([, card]) => card.box.checked).map(([id]) => id);
  }

  /** Ask for those that are ready, newest first; what was chosen stays chosen. */
  async load() {
    for (let cursor = null, first = true; first || cursor; first = false) {
      const page = await call("GET", `/v1/templates?${new URLSearchParams({ state: "ready", limit: PART, ...(cursor && { cursor }) })}`);
      for (const template of page.data) if (!this.#cards.has(template.id)) this.#add(template);
      cursor = page.next_cursor;
    }
    this.#none.hidden = this.#cards.size > 0;
  }

  #add(template) {
    const card = part("template-choice");
    card.template = template;
    card.name.textContent = titleOf(template);
    card.facts.textContent = factsOf(template);
    const look = template.previews.colour ?? template.previews.mask;
    card.picture.hidden = !look;
    if (look) card.picture.src = below(look);
    card.box.addEventListener("change", () => this.#chose(card));
    this.#cards.set(template.id, card);
    this.#place.append(card.root);
  }

  #chose(card) {
    const others = [...this.#cards.values()].filter((other) => other !== card && other.box.checked);
    const alone = others.filter((other) => card.template.kind === "mask" || other.template.kind === "mask" || others.length >= MOST);
    if (card.box.checked) for (const other of alone) other.box.checked = false;
    this.#changed();
  }
}
