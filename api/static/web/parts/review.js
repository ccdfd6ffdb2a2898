// A job whose mark is found in its own pictures: how far the search is, what was found, and what is to be done with it.
//
// What is shown are the templates of the job's pictures, also those of a second search; approving names those on the page.

import { call, pause } from "../net/api.js";
import { element, part, say } from "../frame/dom.js";
import { notify, notifyOf } from "../frame/notices.js";
import { pairOfSample } from "../picture/pairs.js";
import { reasonOf } from "../words/reasons.js";
import { Templates, factsOf, looksOf, samplesOf } from "./templates.js";
import { n, number, t } from "../words/texts.js";

const LOOK_MS = 1500;
const HELD = ["estimating", "needs_review"];
const STAGES = {
  read: () => t("Reading the pictures"), place: () => t("Looking for its place"), period: () => t("Looking for repetition"), align: () => t("Looking for its place"),
  outline: () => t("Finding its outline"), regress: () => t("Measuring opacity and colour"), preview: () => t("Making samples to look at"),
};
const at = (id) => document.getElementById(id);

/** Whether a job waits for its mark. */
export function isHeld(job) {
  return HELD.includes(job.state);
}

export class Review {
  #path;
  #zoom;
  #decided;
  #job = null;
  #found = [];
  #cards = new Map();
  #looking = false;
  #stale = false;
  #choosing = false; // a person wants to choose a template: also after the next search
  #known = new Templates(at("templates"), at("templates-none"), () => this.#draw());

  /** `path` of the job; `decided()` is told when it begins. */
  constructor(path, zoom, decided) {
    this.#path = path;
    this.#zoom = zoom;
    this.#decided = decided;
    const clicks = {
      "review-approve": () => this.#approve(this.#candidates.map(({ id }) => id)),
      "review-use": () => this.#approve(this.#known.chosen),
      "review-anyway": () => this.#searchAnyway(),
      "review-other": () => this.#toggleKnown(),
      "review-cancel": () => at("cancel").click(),
    };
    for (const [id, act] of Object.entries(clicks)) at(id)?.addEventListener("click", () => this.#doing(at(id), act));
  }

  /** The job as it is now. */
  show(job) {
    const moved = this.#job?.state !== job.state;
    this.#job = job;
    at("review").hidden = !isHeld(job);
    if (!isHeld(job)) return;
    if (moved) this.#look().catch(notifyOf);
    this.#draw();
  }

  get #candidates() {
    return this.#found.filter(({ state }) => state === "needs_review" || state === "ready");
  }

  get #making() {
    return this.#found.find(({ state }) => state === "estimating");
  }

  /** Ask for what was found; while a search is on, again and again, and once more where it has moved since it was asked. */
  async #look() {
    this.#stale = true;
    if (this.#looking) return;
    this.#looking = true;
    try {
      do {
        this.#stale = false;
        try {
          const page = await call("GET", `/v1/templates?${new URLSearchParams({ job_id: this.#job.id, limit: 100 })}`);
          if (this.#stale) continue;
          // The commonest mark of a search is the first of it.
          this.#found = page.data.sort((a, b) => (a.id < b.id ? -1 : 1));
          this.#draw();
          if (!this.#making) return;
        } catch (error) {
          if (!error.passing) throw error; // one that passes is told by whoever follows the job
        }
        await pause(LOOK_MS);
      } while (isHeld(this.#job));
    } finally {
      this.#looking = false;
    }
  }

  #draw() {
    const [making, candidates] = [this.#making, this.#candidates];
    // What is settled is told of the job first, and of its templates when they were asked for.
    const searching = Boolean(making) || this.#job.state === "estimating";
    const error = this.#found.findLast(({ state }) => state === "failed")?.error ?? this.#job.review?.error;
    const [title, text] = searching ? searchingText() : candidates.length ? foundText(candidates.length) : error ? reasonOf(error.code) : noneText();
    say(at("review-title"), title);
    say(at("review-text"), text);
    at("review-progress").hidden = !searching;
    if (searching) showProgress(making);
    const refused = !searching && !candidates.length && error;
    at("review-refused").hidden = !refused;
    if (refused) {
      const needed = this.#job.review?.error?.needed;
      say(at("review-needed"), needed ? n("At least 1 more picture is needed.", "At least {count} more pictures are needed.", needed) : "");
      say(at("review-detail"), error.detail);
    }
    this.#drawCards(searching ? [] : candidates);
    appear("review-approve", !searching && candidates.length > 0);
    appear("review-anyway", Boolean(refused) && error.code === "samples_too_few");
    appear("review-other", !searching);
    at("review-other")?.setAttribute("aria-expanded", String(this.#choosing));
    at("review-known").hidden = searching || !this.#choosing;
    appear("review-use", !at("review-known").hidden);
    if (at("review-use")) at("review-use").disabled = this.#known.chosen.length === 0;
  }

  #drawCards(candidates) {
    for (const [id, card] of this.#cards) {
      if (candidates.some((one) => one.id === id)) continue;
      card.root.remove();
      this.#cards.delete(id);
    }
    candidates.forEach((template, index) => {
      const card = this.#cards.get(template.id) ?? this.#card(template);
      say(card.name, candidates.length > 1 ? t("Mark {count}", { count: number(index + 1) }) : t("The mark"));
      if (card.reject) card.reject.hidden = template.state !== "needs_review";
      if (at("review-found").children[index] !== card.root) at("review-found").append(card.root);
    });
  }

  #card(template) {
    const card = part("mark-card");
    this.#cards.set(template.id, card);
    card.facts.textContent = [factsOf(template), sureText(template.confidence)].filter(Boolean).join(" · ");
    card.warnings.hidden = !template.warnings.length;
    card.warnings.replaceChildren(...template.warnings.map((warning) => element("li", {}, warning)));
    card.looks.replaceChildren(...looksOf(template));
    const pairs = samplesOf(template).map((_, index) => pairOfSample(template, index + 1));
    card.samples.replaceChildren(...samplesOf(template).map((pictures, index) => this.#sample(pictures, pairs[index], pairs)));
    card.reject?.addEventListener("click", () => this.#doing(card.reject, () => this.#reject(template)));
    return card;
  }

  #sample(pictures, pair, pairs) {
    const name = t("{name}, with the mark and without it", { name: pair.name });
    const open = element("button", { class: "sample", type: "button", "aria-label": name }, ...pictures);
    open.addEventListener("click", () => this.#zoom.open(pair, pairs));
    return open;
  }

  async #approve(templates) {
    await call("POST", `${this.#path}/approve`, { body: { templates } });
    notify("success", t("The job begins"));
    this.#decided();
  }

  async #reject(template) {
    const now = await call("POST", `/v1/templates/${template.id}/reject`);
    this.#stale = true;
    this.#found = this.#found.map((one) => (one.id === now.id ? now : one));
    this.#draw();
    at("review-title").focus();
  }

  async #searchAnyway() {
    const { id } = this.#job;
    const begun = await call("POST", "/v1/templates", { body: { name: id, estimate: { job_id: id, force: true } } });
    this.#found.push(begun);
    this.#draw();
    this.#look().catch(notifyOf);
  }

  async #toggleKnown() {
    this.#choosing = !this.#choosing;
    this.#draw();
    if (this.#choosing) await this.#known.load();
  }

  async #doing(button, act) {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      notifyOf(error);
    }
    button.disabled = button === at("review-use") && this.#known.chosen.length === 0;
  }
}

function searchingText() {
  return [t("Looking for the mark"), t("A sample of the pictures is looked at for what they share. Nothing is changed before you have seen what was found.")];
}

function foundText(count) {
  return [
    n("A mark was found", "{count} marks were found", count),
    t("Look at the pictures with the mark and without it. If it is right, approve it, and the job begins."),
  ];
}

function noneText() {
  return [t("No mark is left"), t("Choose a template, or cancel the job and hand the pictures over with a mark that is painted.")];
}

function showProgress(making) {
  const told = making?.progress;
  const bar = at("review-progress").querySelector("progress");
  if (told?.total) bar.value = told.done / told.total;
  else bar.removeAttribute("value");
  const stage = told && (STAGES[told.stage]?.() ?? told.stage);
  say(at("review-stage"), !told ? t("Waiting for a worker") : t("{stage}: {done} of {total}", { stage, done: number(told.done), total: number(told.total) }));
}

function sureText(confidence) {
  if (confidence === null) return "";
  return confidence >= 0.8 ? t("the service is sure of it") : confidence >= 0.4 ? t("the service is fairly sure of it") : t("the service is not sure of it: look closely");
}

function appear(id, shown) {
  if (at(id)) at(id).hidden = !shown;
}
