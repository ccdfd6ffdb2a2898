// A job's pictures, before and after, in parts as they are scrolled to. Parts on the screen follow the job as it goes on.

import { below, call, pause } from "../net/api.js";
import { part, say } from "../frame/dom.js";
import { reasonOf } from "../words/reasons.js";
import { showState } from "../words/states.js";
import { number, t } from "../words/texts.js";

const PART = 60;
const REFRESH_MS = 1500;

export class Gallery {
  /** What is shown: `state` and `error_code`, as the API takes them. */
  #filter = {};
  #parts = [];
  #cards = new Map();
  #path;
  #place;
  #tell;
  #open;
  #signal;
  #nearing;
  #asked = 0;
  #stale = false;
  #refreshing = false;

  /** `tell(error)` what went wrong; `open(image)` a pair to look at closely; `signal()` ends what is asked. */
  constructor(path, place, end, { tell, open, signal }) {
    this.#path = path;
    this.#place = place;
    this.#tell = tell;
    this.#open = open;
    this.#signal = signal;
    this.#nearing = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.#more(), { rootMargin: "600px" });
    this.end = end;
  }

  /** Show other pictures. */
  async filter(filter) {
    this.#filter = filter;
    this.#parts = [];
    this.#cards.clear();
    this.#asked += 1;
    await this.#more(true);
  }

  /** The job has gone on: look again at what has not ended yet. */
  async changed() {
    this.#stale = true;
    if (this.#refreshing) return;
    this.#refreshing = true;
    try {
      while (this.#stale) {
        this.#stale = false;
        await this.#refresh();
        await pause(REFRESH_MS, this.#signal());
      }
    } finally {
      this.#refreshing = false;
    }
  }

  get images() {
    return [...this.#cards.values()].map((card) => card.image);
  }

  async #more(first = false) {
    const last = this.#parts.at(-1);
    if (!first && (!last || last.loading || !last.next)) return;
    const mine = this.#asked;
    const fresh = { cursor: first ? null : last.next, next: null, loading: true, root: document.createElement("div") };
    fresh.root.className = "gallery-part";
    this.#parts.push(fresh);
    this.end.hidden = false;
    try {
      const page = await this.#page(fresh.cursor);
      if (mine !== this.#asked) return;
      fresh.next = page.next_cursor;
      if (first) this.#place.replaceChildren();
      this.#place.append(fresh.root);
      this.#fill(fresh, page.data);
      // Looked for anew: on a large screen the end may still be in sight.
      this.#nearing.unobserve(this.end);
      this.#nearing.observe(this.end);
    } catch (error) {
      if (mine === this.#asked) this.#parts.pop();
      this.#tell(error);
    } finally {
      fresh.loading = false;
      if (mine === this.#asked) {
        this.end.hidden = !this.#parts.at(-1)?.next;
        this.#place.dispatchEvent(new CustomEvent("filled"));
        if (fresh.stale) this.changed().catch(this.#tell);
      }
    }
  }

  async #refresh() {
    const mine = this.#asked;
    for (const [index, one] of this.#parts.entries()) {
      const moving = [...this.#cards.values()].some((card) => card.part === one && !card.image.finished_at);
      if (one.loading) one.stale = true; // asked for before the news
      const growing = index === this.#parts.length - 1 && !one.next;
      if (one.loading || !(moving || (growing && Object.keys(this.#filter).length)) || !onScreen(one.root)) continue;
      try {
        const page = await this.#page(one.cursor);
        if (mine !== this.#asked) return;
        const end = this.#parts[index + 1] ? Math.max(...one.positions) : Infinity;
        if (!this.#parts[index + 1]) one.next = page.next_cursor;
        this.#fill(one, page.data.filter((image) => image.position <= end));
      } catch (error) {
        if (!error.passing) throw error; // one that passes is told by whoever follows the job
      }
    }
    this.#place.dispatchEvent(new CustomEvent("filled"));
  }

  #page(cursor) {
    const asked = new URLSearchParams({ limit: PART, ...(cursor && { cursor }), ...this.#filter });
    return call("GET", `${this.#path}?${asked}`, { signal: this.#signal() });
  }

  #fill(one, images) {
    const kept = new Set(images.map((image) => image.id));
    for (const [id, card] of this.#cards) {
      if (card.part === one && !kept.has(id)) {
        card.root.remove();
        this.#cards.delete(id);
      }
    }
    one.positions = images.map((image) => image.position);
    images.forEach((image, index) => {
      const card = this.#cards.get(image.id) ?? this.#card(image);
      card.part = one;
      show(card, image);
      if (one.root.children[index] !== card.root) one.root.insertBefore(card.root, one.root.children[index] ?? null);
    });
  }

  #card(image) {
    const card = part("picture-card");
    this.#cards.set(image.id, card);
    card.open.addEventListener("click", () => this.#open(card.image));
    const swap = (before) => card.root.classList.toggle("shows-before", before && Boolean(card.image.preview_url));
    for (const [on, off] of [["pointerenter", "pointerleave"], ["focus", "blur"]]) {
      card.open.addEventListener(on, () => swap(true));
      card.open.addEventListener(off, () => swap(false));
    }
    return card;
  }
}

function show(card, image) {
  card.image = image;
  say(card.name, image.name);
  card.name.title = image.name;
  showState(card.state, image.state);
  card.state.hidden = image.state === "succeeded";
  card.open.disabled = !image.preview_url;
  const tiles = image.state === "running" && image.tiles_total ? t("tile {done} of {total}", { done: number(image.tiles_done), total: number(image.tiles_total) }) : "";
  const told = image.error ? reasonOf(image.error.code)[0] : image.state === "skipped" ? t("Left as it is: the mark is not in it") : image.record.residual_mark ? t("A rest of the mark may show") : tiles;
  card.label.hidden = !told || (Boolean(image.preview_url) && !image.record.residual_mark);
  say(card.label, told);
  const name = image.preview_url ? t("{name}, before and after", { name: image.name }) : [image.name, told].filter(Boolean).join(", ");
  card.open.setAttribute("aria-label", name);
  if (image.preview_url && card.preview.hidden) {
    const { width, height } = image.record.preview;
    const scale = Math.min(1 / width, 1 / height);
    card.preview.parentElement.style.setProperty("--wide", String(width * scale));
    card.preview.parentElement.style.setProperty("--tall", String(height * scale));
    card.preview.width = width;
    card.preview.height = 2 * height;
    card.preview.src = below(image.preview_url);
    card.preview.hidden = false;
  }
}

function onScreen(root) {
  const box = root.getBoundingClientRect();
  return box.bottom > -200 && box.top < innerHeight + 200;
}
