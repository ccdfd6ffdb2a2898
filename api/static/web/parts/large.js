// The large network, which whoever runs the service fetches from here: offered once, with progress, a way to stop, and what
// to do where it fails. The service goes on with it when the page is left.

import { buttonById, byId, query, setText } from "../frame/dom.js";
import { notify, notifyError, reportingErrors } from "../frame/notices.js";
import { callApi, callPatiently, delay, isTransient } from "../net/api.js";
import { bytes, language, t } from "../words/texts.js";

/**
 * @typedef {{
 *   stage: "absent" | "here" | "starting" | "fetching" | "checking" | "stopped" | "failed",
 *   arrived?: number, total?: number | null, code?: string, detail?: string, folder?: string,
 * }} Pull as the service answers; sizes in bytes, `code` is the error's
 */

const PATH = "/networks/large";
const LOOK_MS = 600;
const KEY = "cleanplate.large";
const RUNNING = ["starting", "fetching", "checking"];

/** What helps against an error, by its code. @type {Partial<Record<string, (pull: { folder: string }) => string>>} */
const WAYS_OUT = {
  download_unreachable: () => t("The server with the file cannot be reached. Does this machine have internet, through a proxy perhaps (HTTPS_PROXY)? Otherwise fetch the file elsewhere and run “cleanplate weights convert big-lama.pt”, or name a copy in CLEANPLATE_WEIGHTS_MIRROR."),
  download_refused: () => t("The server does not hand the file out. Try again later, or name a copy in CLEANPLATE_WEIGHTS_MIRROR."),
  digest_wrong: () => t("What arrived is not the file of its publisher, and was deleted. Try again. If it repeats, the address or a proxy hands out another file."),
  disk_full: ({ folder }) => t("The disk has no room for it: make room at {folder}, then go on.", { folder }),
  folder_unusable: ({ folder }) => t("Nothing can be written to {folder}: give the service the right to write there.", { folder }),
};

/**
 * Show the offer and the download.
 * @param {() => void} onHere runs when the network can be chosen
 */
export function watchLarge(onHere) {
  const part = byId("large");
  part.toggleAttribute("data-quiet", isPutOff());
  const show = (/** @type {Pull} */ pull) => {
    const { stage, arrived = 0, total } = pull;
    const runs = RUNNING.includes(stage);
    if (stage === "here") {
      part.remove();
      onHere();
      notify("success", t("The large network is here"), t("It can be chosen beside the steps; no restart is needed."));
      return false;
    }
    if (stage !== "absent") part.removeAttribute("data-quiet");
    byId("large-run").hidden = stage === "absent";
    const bar = query(part, "progress", HTMLProgressElement);
    bar.hidden = !runs;
    if (stage === "fetching" && total) bar.value = arrived / total;
    else bar.removeAttribute("value");
    setText(byId("large-state"), stateText(pull));
    buttonById("large-get").hidden = runs;
    setText(query(byId("large-get"), "span"), getText(stage));
    buttonById("large-stop").hidden = !runs;
    byId("large-later").hidden = stage !== "absent";
    return runs;
  };
  let runs = 0;
  const watch = async (/** @type {"GET" | "POST"} */ first) => {
    const mine = (runs += 1);
    for (let pull = await ask(first); mine === runs && show(pull); pull = await ask("GET")) await delay(LOOK_MS); // a later run takes over
  };
  buttonById("large-get").addEventListener("click", reportingErrors(() => watch("POST")));
  buttonById("large-stop").addEventListener("click", reportingErrors(() => callApi("DELETE", PATH)));
  buttonById("large-later").addEventListener("click", () => {
    putOff();
    part.setAttribute("data-quiet", "");
    buttonById("large-get").focus();
  });
  for (const id of ["large-get", "large-later"]) buttonById(id).disabled = false; // they were, until somebody listens
  watch("GET").catch((/** @type {unknown} */ error) => { if (!isTransient(error)) notifyError(error); });
}

/**
 * @param {"GET" | "POST"} method
 * @returns {Promise<Pull>}
 */
async function ask(method) {
  return /** @type {Pull} */ (await callPatiently(method, PATH));
}

/** @param {Pull} pull */
export function stateText({ stage, arrived = 0, total, code = "", detail = "", folder = "" }) {
  const some = total ? t("{arrived} of {total}", { arrived: bytes(arrived), total: bytes(total) }) : bytes(arrived);
  switch (stage) {
    case "starting":
      return t("Asking for the file");
    case "fetching":
      return some;
    case "checking":
      return t("Comparing its digest, and converting it");
    case "stopped":
      return t("Stopped: {some}. What has arrived is kept.", { some });
    case "failed":
      return WAYS_OUT[code]?.({ folder }) ?? (language === "en" ? detail : t("It could not be added: the service's log has the reason."));
    case "absent":
    case "here":
      return "";
  }
}

/** @param {Pull["stage"]} stage */
function getText(stage) {
  if (stage === "stopped") return t("Go on");
  return stage === "failed" ? t("Try again") : t("Add the large network");
}

function isPutOff() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false; // the browser keeps nothing
  }
}

function putOff() {
  try {
    localStorage.setItem(KEY, "later");
  } catch (error) {
    console.warn("The browser does not keep the answer to the offer.", error);
  }
}
