// What a result lacks besides the mark, and how it differs in more than the mark, in the reader's language.

import { t } from "./texts.js";

/** @import { ImageRecord } from "../net/answers.js" */

/** @type {Partial<Record<string, () => string>>} */
const LEFT_OUT = {
  gain_map: () => t("gain map"),
  depth_map: () => t("depth map"),
  video: () => t("video"),
  further_pictures: () => t("further pictures"),
  auxiliary_pictures: () => t("auxiliary pictures"),
  thumbnail: () => t("thumbnail"),
  data_behind_the_picture: () => t("data behind the picture"),
  restart_markers: () => t("restart markers"),
};

/**
 * A sentence for each thing that an owner may not expect of a result.
 * @param {ImageRecord} record
 * @returns {string[]}
 */
export function remarksOf(record) {
  const remarks = [];
  if (record.left_out?.length) {
    const parts = record.left_out.map((code) => LEFT_OUT[code]?.() ?? code);
    remarks.push(t("Left out: {parts}", { parts: parts.join(", ") }));
  }
  if (record.extension_changed) remarks.push(t("Named {ending} after its format", { ending: record.extension_changed.to }));
  if (record.extension_kept) remarks.push(t("Its format is that of {ending}", { ending: record.extension_kept.format }));
  return remarks;
}
