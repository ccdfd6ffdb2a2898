// What was posted to a job's webhook and what came back; one that failed is posted again.

import { call, newest } from "./api.js";
import { element } from "./dom.js";
import { notify, notifyOf } from "./notices.js";
import { moment, showState } from "./states.js";
import { number, t } from "./texts.js";

const listed = newest();

/** Show the deliveries of a job in the table's `rows`; `none` is said where there are none. */
export async function showDeliveries(job, { section, rows, none, mayPostAgain, signal }) {
  if (!job.webhook_id) return;
  section.hidden = false;
  const path = `/v1/webhooks/${job.webhook_id}/deliveries`;
  const found = await listed(call("GET", `${path}?limit=50&job_id=${job.id}`, { signal }));
  if (!found) return;
  none.hidden = found.data.length > 0;
  const anew = () => showDeliveries(job, { section, rows, none, mayPostAgain, signal });
  rows.replaceChildren(...found.data.map((delivery) => rowOf(delivery, mayPostAgain && (() => postAgain(path, delivery, anew)))));
}

function rowOf(delivery, again) {
  const last = delivery.log.at(-1);
  const state = element("td");
  showState(state, delivery.state);
  const answer = last ? [moment(last.at), last.status ? t("answered {status}", { status: last.status }) : last.error].filter(Boolean).join(", ") : "–";
  const row = element(
    "tr", {},
    element("td", {}, element("code", {}, delivery.event_type)),
    state,
    element("td", last?.error ? { lang: "en" } : {}, answer),
    element("td", { class: "number" }, number(delivery.log.length)),
  );
  const button = again && element("button", { class: "button", type: "button" }, t("Post again"));
  button?.addEventListener("click", again);
  row.append(element("td", { class: "number" }, ...(button ? [button] : [])));
  return row;
}

async function postAgain(path, delivery, then) {
  try {
    await call("POST", `${path}/${delivery.id}/redeliver`);
    notify("success", t("It is posted again"));
    await then();
  } catch (error) {
    notifyOf(error);
  }
}
