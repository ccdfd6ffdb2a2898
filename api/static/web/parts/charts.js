// Small charts of a figure over time, as SVG of the place's own width. A step that nobody counted is a gap, not a zero.

import { language, number } from "../words/texts.js";

/** @typedef {{ since: string, step_s: number, values: (number | null)[] }} Series the oldest value first */
/** @typedef {{ top: number, steps: number[] }} Scale of the figures: its end, and the values that get a line */
/** @typedef {[x: number, y: number]} Point */

const NAMESPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 10, 8, 22];
const LINES = 3;
/** Widths of an axis' label, in pixels. */
const LABEL_PX = 64;

/**
 * Draw a series into `place`, which has the text alternative as its label.
 * @param {HTMLElement} place
 * @param {Series} series
 * @param {string} label
 */
export function drawChart(place, series, label) {
  const width = Math.max(200, place.clientWidth);
  const scale = scaleOf(Math.max(0, ...known(series)));
  const across = (/** @type {number} */ index) => LEFT + ((index + 0.5) / series.values.length) * (width - LEFT - RIGHT);
  const down = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / scale.top) * (HEIGHT - TOP - BOTTOM);
  const svg = shape("svg", { class: "chart", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}`, width: String(width), height: String(HEIGHT) });
  for (const value of scale.steps) {
    svg.append(
      shape("line", { class: "chart-grid", x1: String(LEFT), x2: String(width - RIGHT), y1: fixed(down(value)), y2: fixed(down(value)) }),
      text(LEFT - 8, down(value) + 4, number(value, 2), "end"),
    );
  }
  for (const [index, time] of times(series, (width - LEFT - RIGHT) / LABEL_PX)) {
    const x = across(index - 0.5);
    svg.append(text(x, HEIGHT - 6, time, index === 0 ? "start" : index === series.values.length ? "end" : "middle"));
  }
  for (const run of runsOf(series.values)) {
    const points = run.map(([index, value]) => /** @type {Point} */ ([across(index), down(value)]));
    const [first, last] = [points[0], points.at(-1)];
    if (!first || !last) continue;
    if (first === last) {
      svg.append(shape("circle", { class: "chart-dot", cx: fixed(first[0]), cy: fixed(first[1]), r: "2" }));
      continue;
    }
    const path = points.map(([x, y]) => `${fixed(x)},${fixed(y)}`).join("L");
    svg.append(
      shape("path", { class: "chart-area", d: `M${path}L${fixed(last[0])},${HEIGHT - BOTTOM}L${fixed(first[0])},${HEIGHT - BOTTOM}Z` }),
      shape("path", { class: "chart-line", d: `M${path}` }),
    );
  }
  place.replaceChildren(svg);
}

/**
 * The values that are known.
 * @param {Series} series
 */
export function known({ values }) {
  return values.filter((value) => value !== null);
}

/**
 * The scale for values up to `most`: even steps of 1, 2 or 5 times a power of ten.
 * @param {number} most
 * @returns {Scale}
 */
export function scaleOf(most) {
  const raw = Math.max(most, 1) / LINES;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  const lines = Math.max(1, Math.ceil(Math.max(most, 1) / step));
  return { top: lines * step, steps: Array.from({ length: lines + 1 }, (_, index) => index * step) };
}

/**
 * Stretches of values that are known, each value with its place.
 * @param {(number | null)[]} values
 * @returns {[index: number, value: number][][]}
 */
export function runsOf(values) {
  /** @type {[number, number][][]} */
  const runs = [[]];
  for (const [index, value] of values.entries()) {
    if (value === null) runs.push([]);
    else runs.at(-1)?.push([index, value]);
  }
  return runs.filter((run) => run.length > 0);
}

/**
 * Times below the chart, as many as fit, each with the step at whose begin it lies.
 * @param {Series} series
 * @param {number} most
 * @returns {[index: number, time: string][]}
 */
function times({ since, step_s, values }, most) {
  const parts = [6, 4, 3, 2, 1].find((count) => count < most) ?? 1;
  const format = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return Array.from({ length: parts + 1 }, (_, part) => {
    const index = (part / parts) * values.length;
    return [index, format.format(Date.parse(since) + index * step_s * 1000)];
  });
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {string} anchor
 */
function text(x, y, words, anchor) {
  const element = shape("text", { class: "chart-text", x: fixed(x), y: fixed(y), "text-anchor": anchor });
  element.textContent = words;
  return element;
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 */
function shape(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** @param {number} value */
function fixed(value) {
  return value.toFixed(1);
}
