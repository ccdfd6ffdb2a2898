// The charts of operations: pictures that ended a minute, and pictures that waited, over the last hour or day.

import { byId, childrenOf, closest, runWhileVisible, setText } from "../frame/dom.js";
import { notifyError } from "../frame/notices.js";
import { callPatiently, delay } from "../net/api.js";
import { number, t } from "../words/texts.js";
import { drawChart, known } from "./charts.js";

/** @typedef {{ since: string, step_s: number, ended: (number | null)[], waiting: (number | null)[] }} Flow */
/** @typedef {"hour" | "day"} Span */

const EVERY_MS = 20_000;

/** Draw the charts, and renew them while the page is visible. */
export function followFlow() {
  /** @type {Record<Span, Flow> | null} */
  let flows = null;
  /** @type {Span} */
  let span = "hour";
  const draw = () => {
    if (flows) drawFlow(flows[span], span);
  };
  byId("flow-spans").addEventListener("click", (event) => {
    const button = closest(event, "[data-span]");
    if (!button) return;
    span = button.dataset.span === "day" ? "day" : "hour";
    for (const one of childrenOf(byId("flow-spans"))) one.setAttribute("aria-pressed", String(one === button));
    draw();
  });
  new ResizeObserver(draw).observe(byId("flow-ended"));
  runWhileVisible(async (signal) => {
    for (;;) {
      flows = /** @type {Record<Span, Flow>} */ (await callPatiently("GET", "/admin/flow", { signal }));
      draw();
      await delay(EVERY_MS, signal);
    }
  }, notifyError);
}

/**
 * @param {Flow} flow
 * @param {Span} span
 */
function drawFlow({ since, step_s, ended, waiting }, span) {
  const over = span === "hour" ? t("last hour") : t("last day");
  for (const { id, values, words } of [
    { id: "flow-ended", values: ended, words: t("Pictures that ended a minute, {span}", { span: over }) },
    { id: "flow-waiting", values: waiting, words: t("Pictures that waited, {span}", { span: over }) },
  ]) {
    const series = { since, step_s, values };
    const summary = summaryOf(known(series));
    setText(byId(`${id}-text`), summary);
    drawChart(byId(id), series, `${words}: ${summary}`);
  }
}

/** @param {number[]} values */
function summaryOf(values) {
  const last = values.at(-1);
  if (last === undefined) return t("Nothing is known of this time yet.");
  return t("last {last}, at most {most}", { last: number(last, 1), most: number(Math.max(...values), 1) });
}
