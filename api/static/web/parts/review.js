// A job whose mark is found in its own pictures: the progress of the search, the marks found, the decision about them.
//
// The templates shown are those of the job's pictures, also of a second search. Approval names the ones on the page.

import { buttonById, byId, cloneTemplate, createElement, optionalById, query, setText } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import { callApi, delay, isTransient } from "../net/api.js";
import { pairsOfSamples } from "../picture/pairs.js";
import { cautionText } from "../words/cautions.js";
import { reasonOf } from "../words/reasons.js";
import { n, number, t } from "../words/texts.js";
import { TemplateChoice, factsOf, looksOf, samplesOf } from "./templates.js";

/** @import { ImageError, Job, Page, Template } from "../net/answers.js" */
/** @import { Pair } from "../picture/pairs.js" */
/** @import { Zoom } from "../picture/zoom.js" */
/** @typedef {ReturnType<typeof newCard>} Card */

const POLL_MS = 1500;
/** @type {Partial<Record<string, () => string>>} */
const STAGES = {
  read: () => t("Reading the pictures"),
  place: () => t("Looking for its place"),
  period: () => t("Looking for repetition"),
  align: () => t("Looking for its place"),
  outline: () => t("Finding its outline"),
  regress: () => t("Measuring opacity and colour"),
  preview: () => t("Making samples to look at"),
};

/**
 * Whether a job waits for its mark.
 * @param {Pick<Job, "state">} job
 */
export function isHeld({ state }) {
  return state === "estimating" || state === "needs_review";
}

export class Review {
  #path;
  #zoom;
  #onApproval;
  /** @type {Job} */
  #job;
  /** @type {Template[]} */
  #templates = [];
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #polling = false;
  #stale = false;
  #choosing = false; // a person wants to choose a template: also after the next search
  #choice = new TemplateChoice(byId("templates"), byId("templates-none"), () => { this.#draw(); });

  /**
   * @param {Job} job
   * @param {string} path of the job
   * @param {Zoom} zoom
   * @param {() => void} onApproval
   */
  constructor(job, path, zoom, onApproval) {
    this.#job = job;
    this.#path = path;
    this.#zoom = zoom;
    this.#onApproval = onApproval;
    const clicks = {
      "review-approve": () => this.#approve(this.#candidates.map(({ id }) => id)),
      "review-use": () => this.#approve(this.#choice.chosen),
      "review-anyway": () => this.#searchAnyway(),
      "review-other": () => this.#toggleChoice(),
      "review-cancel": () => { buttonById("cancel").click(); },
    };
    for (const [id, act] of Object.entries(clicks)) {
      const button = optionalById(id, HTMLButtonElement);
      button?.addEventListener("click", reportingErrors(() => this.#run(button, act)));
    }
    if (isHeld(job)) this.#poll().catch(notifyError);
  }

  /**
   * Show the present state of the job.
   * @param {Job} job
   */
  show(job) {
    const changed = this.#job.state !== job.state;
    this.#job = job;
    byId("review").hidden = !isHeld(job);
    if (!isHeld(job)) return;
    if (changed) this.#poll().catch(notifyError);
    this.#draw();
  }

  /** The templates that can be approved. */
  get #candidates() {
    return this.#templates.filter(({ state }) => state === "needs_review" || state === "ready");
  }

  get #estimating() {
    return this.#templates.find(({ state }) => state === "estimating");
  }

  /** Fetch the templates, again and again while a search goes on, and once more if the job has moved since the request. */
  async #poll() {
    this.#stale = true;
    if (this.#polling) return;
    this.#polling = true;
    try {
      do {
        if (await this.#fetch()) {
          this.#draw();
          if (!this.#estimating) return;
        }
        if (!this.#isStale()) await delay(POLL_MS);
      } while (isHeld(this.#job));
    } finally {
      this.#polling = false;
    }
  }

  /**
   * Fetch the templates of the job's pictures.
   * @returns {Promise<boolean>} whether the answer is current
   */
  async #fetch() {
    this.#stale = false;
    try {
      const search = new URLSearchParams({ job_id: this.#job.id, limit: "100" });
      const page = /** @type {Page<Template>} */ (await callApi("GET", `/v1/templates?${search}`));
      if (this.#isStale()) return false;
      // The commonest mark of a search has the first id.
      this.#templates = page.data.sort((a, b) => (a.id < b.id ? -1 : 1));
      return true;
    } catch (error) {
      if (!isTransient(error)) throw error; // the follower of the job reports a service that is away
      return false;
    }
  }

  /** Whether the job has moved since the last request began. */
  #isStale() {
    return this.#stale;
  }

  #draw() {
    const { review, state } = this.#job;
    const candidates = this.#candidates;
    const estimating = this.#estimating;
    // A search's end shows on the job first, and on its templates with the next poll.
    const searching = estimating !== undefined || state === "estimating";
    const error = this.#templates.findLast((template) => template.state === "failed")?.error ?? review?.error ?? null;
    const refusal = !searching && !candidates.length ? error : null;
    const [title, text] = searching ? searchingText() : candidates.length ? foundText(candidates.length) : error ? reasonOf(error.code) : noneText();
    setText(byId("review-title"), title);
    setText(byId("review-text"), text);
    byId("review-progress").hidden = !searching;
    if (searching) showProgress(estimating);
    this.#drawRefusal(refusal);
    this.#drawCards(searching ? [] : candidates);
    showIf("review-approve", !searching && candidates.length > 0);
    showIf("review-anyway", refusal?.code === "samples_too_few");
    showIf("review-other", !searching);
    optionalById("review-other")?.setAttribute("aria-expanded", String(this.#choosing));
    byId("review-known").hidden = searching || !this.#choosing;
    showIf("review-use", !searching && this.#choosing);
    const use = optionalById("review-use", HTMLButtonElement);
    if (use) use.disabled = this.#choice.chosen.length === 0;
  }

  /** @param {ImageError | null} error */
  #drawRefusal(error) {
    byId("review-refused").hidden = !error;
    if (!error) return;
    const needed = this.#job.review?.error?.needed;
    setText(byId("review-needed"), needed ? n("At least 1 more picture is needed.", "At least {count} more pictures are needed.", needed) : "");
  }

  /** @param {Template[]} candidates */
  #drawCards(candidates) {
    for (const [id, card] of this.#cards) {
      if (candidates.some((template) => template.id === id)) continue;
      card.root.remove();
      this.#cards.delete(id);
    }
    const place = byId("review-found");
    candidates.forEach((template, index) => {
      const card = this.#cards.get(template.id) ?? this.#addCard(template);
      setText(card.name, candidates.length > 1 ? t("Mark {count}", { count: number(index + 1) }) : t("The mark"));
      if (card.reject) card.reject.hidden = template.state !== "needs_review";
      if (place.children[index] !== card.root) place.append(card.root);
    });
  }

  /** @param {Template} template */
  #addCard(template) {
    const card = newCard(template);
    const pairs = pairsOfSamples(template);
    const samples = samplesOf(template);
    card.samples.replaceChildren(...pairs.map((pair, index) => this.#sampleButton(samples[index] ?? [], pair, pairs)));
    const { reject } = card;
    reject?.addEventListener("click", reportingErrors(() => this.#run(reject, () => this.#reject(template))));
    this.#cards.set(template.id, card);
    return card;
  }

  /**
   * @param {HTMLImageElement[]} pictures
   * @param {Pair} pair
   * @param {Pair[]} pairs
   */
  #sampleButton(pictures, pair, pairs) {
    const name = t("{name}, with the mark and without it", { name: pair.name });
    const button = createElement("button", { class: "sample", type: "button", "aria-label": name }, ...pictures);
    button.addEventListener("click", () => void this.#zoom.open(pair, pairs));
    return button;
  }

  /** @param {string[]} templates */
  async #approve(templates) {
    await callApi("POST", `${this.#path}/approve`, { body: { templates } });
    notify("success", t("The job begins"));
    this.#onApproval();
  }

  /** @param {Template} template */
  async #reject({ id }) {
    const rejected = /** @type {Template} */ (await callApi("POST", `/v1/templates/${id}/reject`));
    this.#stale = true;
    this.#templates = this.#templates.map((template) => (template.id === id ? rejected : template));
    this.#draw();
    byId("review-title").focus();
  }

  async #searchAnyway() {
    const { id } = this.#job;
    const body = { name: id, estimate: { job_id: id, force: true } };
    this.#templates.push(/** @type {Template} */ (await callApi("POST", "/v1/templates", { body })));
    this.#draw();
    this.#poll().catch(notifyError);
  }

  async #toggleChoice() {
    this.#choosing = !this.#choosing;
    this.#draw();
    if (this.#choosing) await this.#choice.load();
  }

  /**
   * Run the action of a button, which is disabled meanwhile.
   * @param {HTMLButtonElement} button
   * @param {() => unknown} act
   */
  async #run(button, act) {
    button.disabled = true;
    try {
      await act();
    } finally {
      button.disabled = button.id === "review-use" && this.#choice.chosen.length === 0;
    }
  }
}

/** @param {Template} template */
function newCard(template) {
  const card = cloneTemplate(
    "mark-card",
    { name: HTMLElement, facts: HTMLElement, warnings: HTMLElement, looks: HTMLElement, samples: HTMLElement },
    { reject: HTMLButtonElement },
  );
  card.facts.textContent = [factsOf(template), testedText(template), confidenceText(template.confidence)].filter(Boolean).join(" · ");
  card.warnings.hidden = !template.cautions.length;
  card.warnings.replaceChildren(...template.cautions.map((caution) => createElement("li", {}, cautionText(caution))));
  card.looks.replaceChildren(...looksOf(template));
  return card;
}

/** @returns {[title: string, text: string]} */
function searchingText() {
  return [t("Looking for the mark"), t("A sample of the pictures is looked at for what they share. Nothing is changed before you have seen what was found.")];
}

/**
 * @param {number} count
 * @returns {[title: string, text: string]}
 */
function foundText(count) {
  return [
    n("A mark was found", "{count} marks were found", count),
    t("Look at the pictures with the mark and without it. If it is right, approve it, and the job begins."),
  ];
}

/** @returns {[title: string, text: string]} */
function noneText() {
  return [t("No mark is left"), t("Choose a known mark, or cancel the job and hand the pictures over with a mark that is painted.")];
}

/** @param {Template | undefined} template that is being estimated */
function showProgress(template) {
  const progress = template?.progress;
  const bar = query(byId("review-progress"), "progress", HTMLProgressElement);
  if (progress?.total) bar.value = progress.done / progress.total;
  else bar.removeAttribute("value");
  setText(byId("review-stage"), progress ? progressText(progress) : t("Waiting for a worker"));
}

/** @param {import("../net/answers.js").TemplateProgress} progress */
function progressText({ stage, done, total }) {
  return t("{stage}: {done} of {total}", { stage: STAGES[stage]?.() ?? stage, done: number(done), total: number(total) });
}

/**
 * What the test of a template on its own samples gave.
 * @param {Pick<Template, "quality">} template
 */
function testedText({ quality }) {
  const { tested, found, clean } = quality ?? {};
  if (!tested) return "";
  return t("found again in {found} of {tested} pictures, clean in {clean}", { found: number(found ?? 0), tested: number(tested), clean: number(clean ?? 0) });
}

/** @param {number | null} confidence */
function confidenceText(confidence) {
  if (confidence === null) return "";
  if (confidence >= 0.8) return t("certain");
  return confidence >= 0.4 ? t("fairly certain") : t("uncertain: look closely");
}

/**
 * Show or hide a part that the page may lack.
 * @param {string} id
 * @param {boolean} visible
 */
function showIf(id, visible) {
  const element = optionalById(id);
  if (element) element.hidden = !visible;
}
