// What the reviewer of a found mark should know, in the reader's language, by the caution's code and parameters. English
// readers get the service's own sentence, which says more.

import { language, n, t } from "./texts.js";

/** @import { Caution } from "../net/answers.js" */
/** @typedef {Caution["params"]} Params */

/** @type {Partial<Record<string, () => string>>} */
const SIDES = {
  top: () => t("upper end"),
  left: () => t("left end"),
  bottom: () => t("lower end"),
  right: () => t("right end"),
};

/** @type {Partial<Record<string, (params: Params) => string>>} */
const SENTENCES = {
  samples_too_few: (params) => t("Only {known} of {samples} pictures say something about the mark: about {needed} more pictures like these are needed to be sure.", params),
  template_unproven: (params) => t("The mark was found again in {found} of {tested} of its own pictures, and {clean} were clean afterwards: it is not the mark, or not all of it.", params),
  mark_doubtful: () => t("What the pictures share hardly stands out, or still shows when it is taken off: it may be no mark, but the edge of a backdrop for instance."),
  mark_of_goods: (params) => t("What {pictures} pictures share may belong to the goods, as a print does: it lies over the background in {over_ground} of them and over the goods alone in {over_goods}, or it is opaque, or shows more than once.", params),
  mark_scattered: (params) => t("The mark lies at another place in each of {pictures} pictures, as a print on goods does: look closely at each sample.", params),
  mark_not_everywhere: (params) => t("The mark was found again in {found} of {tested} pictures, and {clean} were clean afterwards: look closely at each sample.", params),
  end_unseen: (params) => t("Only {shown} of {samples} pictures could show more of the mark beyond its {side}: see on the samples whether it goes on there.", { ...params, side: SIDES[String(params.side)]?.() ?? "" }),
  samples_unreadable: ({ count, names }) => [n("1 picture could not be read", "{count} pictures could not be read", Number(count)), names].join(": "),
};

/**
 * A caution as a sentence.
 * @param {Caution} caution
 */
export function cautionText({ code, params, detail }) {
  if (language === "en") return detail;
  const sentence = Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : undefined;
  return sentence?.(params) ?? t("It is not certain that this is the whole mark: look closely at each sample.");
}
