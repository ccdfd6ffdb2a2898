// A job's pictures, before and after, page by page as a person scrolls. Pages on the screen follow the job as it goes on.

import { cloneTemplate, createElement, setText } from "../frame/dom.js";
import { callApi, delay, isTransient } from "../net/api.js";
import { below } from "../net/below.js";
import { reasonOf } from "../words/reasons.js";
import { remarksOf } from "../words/remarks.js";
import { showState } from "../words/states.js";
import { number, t } from "../words/texts.js";

/** @import { Image, Page } from "../net/answers.js" */
/** @typedef {{ state?: string, error_code?: string }} Filter as the API takes it */
/**
 * A page of images. `stale`: the job went on while the page was loading.
 * @typedef {{
 *   cursor: string | null,
 *   next: string | null,
 *   loading: boolean,
 *   stale: boolean,
 *   lastPosition: number,
 *   root: HTMLElement,
 * }} GalleryPage
 */
/** @typedef {{ page: GalleryPage, image: Image, slots: ReturnType<typeof newSlots> }} Card */

const PAGE_SIZE = 60;
const REFRESH_MS = 1500;
const SIGHT_MARGIN_PX = 200;

export class Gallery {
  /** @type {Filter} */
  #filter = {};
  /** @type {GalleryPage[]} */
  #pages = [];
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #path;
  #place;
  #end;
  #options;
  #sentinel;
  /** Counts the filters: an answer for an earlier filter is dropped. */
  #generation = 0;
  #stale = false;
  #refreshing = false;

  /**
   * @param {string} path of the job's images
   * @param {HTMLElement} place
   * @param {HTMLElement} end shown while there is more to load
   * @param {{ onError: (error: unknown) => void, onOpen: (image: Image) => void, signal: () => AbortSignal }} options
   */
  constructor(path, place, end, options) {
    this.#path = path;
    this.#place = place;
    this.#end = end;
    this.#options = options;
    this.#sentinel = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void this.#loadNext();
    }, { rootMargin: "600px" });
  }

  /**
   * Show the images that match a filter.
   * @param {Filter} filter
   */
  async filter(filter) {
    this.#filter = filter;
    this.#pages = [];
    this.#cards.clear();
    this.#generation += 1;
    await this.#load(null);
  }

  /** Refresh the images that have not ended: the job has gone on. */
  async refresh() {
    this.#stale = true;
    if (this.#refreshing) return;
    this.#refreshing = true;
    try {
      while (this.#stale) {
        this.#stale = false;
        await this.#refreshPages();
        await delay(REFRESH_MS, this.#options.signal());
      }
    } finally {
      this.#refreshing = false;
    }
  }

  get images() {
    return [...this.#cards.values()].map((card) => card.image);
  }

  async #loadNext() {
    const last = this.#pages.at(-1);
    if (last?.next && !last.loading) await this.#load(last.next);
  }

  /** @param {string | null} cursor null: the first page */
  async #load(cursor) {
    const generation = this.#generation;
    const root = createElement("div", { class: "gallery-part" });
    /** @type {GalleryPage} */
    const page = { cursor, next: null, loading: true, stale: false, lastPosition: -1, root };
    this.#pages.push(page);
    this.#end.hidden = false;
    try {
      const answer = await this.#fetch(cursor);
      if (generation !== this.#generation) return;
      page.next = answer.next_cursor;
      if (cursor === null) this.#place.replaceChildren();
      this.#place.append(root);
      this.#fill(page, answer.data);
      // Observed anew: on a large screen the end may still be in sight.
      this.#sentinel.unobserve(this.#end);
      this.#sentinel.observe(this.#end);
    } catch (error) {
      if (generation === this.#generation) this.#pages.pop();
      this.#options.onError(error);
    } finally {
      page.loading = false;
      if (generation === this.#generation) {
        this.#end.hidden = !this.#pages.at(-1)?.next;
        this.#place.dispatchEvent(new CustomEvent("filled"));
        if (page.stale) this.refresh().catch(this.#options.onError);
      }
    }
  }

  async #refreshPages() {
    const generation = this.#generation;
    for (const [index, page] of this.#pages.entries()) {
      if (page.loading) {
        page.stale = true; // its request may be older than the news
        continue;
      }
      const isLast = index === this.#pages.length - 1;
      if (!this.#mayChange(page, isLast) || !isOnScreen(page.root)) continue;
      try {
        const answer = await this.#fetch(page.cursor);
        if (generation !== this.#generation) return;
        const next = this.#pages[index + 1];
        if (!next) page.next = answer.next_cursor;
        this.#fill(page, next ? answer.data.filter((image) => image.position <= page.lastPosition) : answer.data);
      } catch (error) {
        if (!isTransient(error)) throw error; // the follower of the job reports a service that is away
      }
    }
    this.#place.dispatchEvent(new CustomEvent("filled"));
  }

  /**
   * Whether a page has images that go on, or can get new ones.
   * @param {GalleryPage} page
   * @param {boolean} isLast
   */
  #mayChange(page, isLast) {
    const filtered = Object.keys(this.#filter).length > 0;
    if (isLast && !page.next && filtered) return true;
    return [...this.#cards.values()].some((card) => card.page === page && !card.image.finished_at);
  }

  /** @param {string | null} cursor */
  async #fetch(cursor) {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE), ...(cursor && { cursor }), ...this.#filter });
    const answer = await callApi("GET", `${this.#path}?${query}`, { signal: this.#options.signal() });
    return /** @type {Page<Image>} */ (answer);
  }

  /**
   * Show these images on a page, and no others.
   * @param {GalleryPage} page
   * @param {Image[]} images
   */
  #fill(page, images) {
    const ids = new Set(images.map((image) => image.id));
    for (const [id, card] of this.#cards) {
      if (card.page === page && !ids.has(id)) {
        card.slots.root.remove();
        this.#cards.delete(id);
      }
    }
    page.lastPosition = Math.max(-1, ...images.map((image) => image.position));
    images.forEach((image, index) => {
      const card = this.#cards.get(image.id) ?? this.#newCard(page, image);
      card.page = page;
      showImage(card, image);
      const { root } = card.slots;
      if (page.root.children[index] !== root) page.root.insertBefore(root, page.root.children[index] ?? null);
    });
  }

  /**
   * @param {GalleryPage} page
   * @param {Image} image
   */
  #newCard(page, image) {
    /** @type {Card} */
    const card = { page, image, slots: newSlots() };
    const { root, open } = card.slots;
    this.#cards.set(image.id, card);
    open.addEventListener("click", () => { this.#options.onOpen(card.image); });
    const swap = (/** @type {boolean} */ before) => root.classList.toggle("shows-before", before && Boolean(card.image.preview_url));
    for (const name of ["pointerenter", "focus"]) open.addEventListener(name, () => swap(true));
    for (const name of ["pointerleave", "blur"]) open.addEventListener(name, () => swap(false));
    return card;
  }
}

function newSlots() {
  return cloneTemplate("picture-card", {
    open: HTMLButtonElement, preview: HTMLImageElement, name: HTMLElement, state: HTMLElement, label: HTMLElement,
  });
}

/**
 * @param {Card} card
 * @param {Image} image
 */
function showImage(card, image) {
  card.image = image;
  const { open, preview, name, state, label } = card.slots;
  setText(name, image.name);
  name.title = image.name;
  showState(state, image.state);
  state.hidden = image.state === "succeeded";
  open.disabled = !image.preview_url;
  const note = noteOf(image);
  const isRemarkable = Boolean(image.record.residual_mark) || remarksOf(image.record).length > 0;
  label.hidden = !note || (Boolean(image.preview_url) && !isRemarkable);
  setText(label, note);
  open.setAttribute("aria-label", image.preview_url ? t("{name}, before and after", { name: image.name }) : [image.name, note].filter(Boolean).join(", "));
  if (image.preview_url && image.record.preview && preview.hidden) showPreview(preview, image.preview_url, image.record.preview);
}

/** @param {Image} image */
function noteOf(image) {
  if (image.error) return reasonOf(image.error.code)[0];
  if (image.state === "skipped") return t("Left as it is: the mark is not in it");
  if (image.record.residual_mark) return t("A rest of the mark may show");
  if (image.state === "succeeded") return remarksOf(image.record).join("; ");
  if (image.state !== "running" || !image.tiles_total) return "";
  return t("tile {done} of {total}", { done: number(image.tiles_done), total: number(image.tiles_total) });
}

/**
 * Show the preview of an image.
 * @param {HTMLImageElement} preview the halves before and after, one above the other
 * @param {string} source
 * @param {{ width: number, height: number }} half
 */
export function showPreview(preview, source, { width, height }) {
  const scale = 1 / Math.max(width, height);
  preview.parentElement?.style.setProperty("--wide", String(width * scale));
  preview.parentElement?.style.setProperty("--tall", String(height * scale));
  preview.width = width;
  preview.height = 2 * height;
  preview.src = below(source);
  preview.hidden = false;
}

/** @param {Element} element */
function isOnScreen(element) {
  const box = element.getBoundingClientRect();
  return box.bottom > -SIGHT_MARGIN_PX && box.top < innerHeight + SIGHT_MARGIN_PX;
}
