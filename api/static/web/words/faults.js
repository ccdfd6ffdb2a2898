// What is wrong at one place of a request, in the reader's language, by the fault's code and parameters. English readers
// get the service's own sentence, which says more.

import { reasonOf, sentenceOf } from "./reasons.js";
import { language, number, t } from "./texts.js";

/** @import { Fault } from "../net/answers.js" */
/** @typedef {Record<string, string>} Params */

/** @type {Partial<Record<string, (params: Params) => string>>} */
const SENTENCES = {
  field_missing: () => t("This is missing."),
  field_unknown: () => t("This is not known here: take it out, or correct its name."),
  type_wrong: () => t("This is of the wrong kind, such as a text where a number belongs."),
  form_wrong: () => t("This does not have the form that it needs."),
  value_refused: () => t("This value is not allowed here."),
  choice_unknown: (params) => t("This must be one of: {allowed}.", params),
  text_too_short: (params) => t("The text needs {least} characters at least.", params),
  text_too_long: (params) => t("The text may have {most} characters at most.", params),
  list_too_short: (params) => t("The list needs {least} entries at least.", params),
  list_too_long: (params) => t("The list may have {most} entries at most.", params),
  number_too_small: (params) => t("The number is too small; the limit is {least}.", params),
  number_too_large: (params) => t("The number is too large; the limit is {most}.", params),
  json_invalid: () => t("This is not JSON."),
  part_must_be_file: () => t("Send one file here."),
  part_must_be_text: () => t("Send text here, not a file."),
  part_repeated: () => t("This may come once only."),
  masks_both: () => t("Give the mask in one way only."),
  placement_without_mask: () => t("A place for the mask needs the mask's file."),
  image_missing: () => t("There is no picture for this mask."),
  name_unusable: () => t("The file's name cannot be used: name it otherwise."),
  network_unknown: (params) => t("The service does not have this network; it has {offered}.", params),
  folder_empty: () => t("There are no pictures in this folder."),
  keys_no_pictures: (params) => t("More than {most} files under it are no pictures: name a folder further down.", params),
  manifest_not_in_bucket: () => t("A list is read from s3://bucket/key, or from a file that you send."),
  address_impossible: () => t("No address in the destination can be made of it."),
  address_not_comparable: () => t("New pictures cannot be told where addresses hold {image_id}.", { image_id: "{image_id}" }),
  address_taken: (params) => t("Its result would have the address of that of picture {image}.", params),
  source_overwritten: () => t("The result would overwrite the picture itself: name another folder."),
  cell_not_json: () => t("The cell is not JSON."),
  cells_wrong: (params) => t("The row has {cells} cells, and the first line names {columns} columns.", params),
  line_too_long: (params) => t("The line may have {most} characters at most.", params),
  custom_id_repeated: (params) => t("The same custom_id is on line {line} already.", params),
  parts_too_many: (params) => t("One request may ask for {most} parts at most.", params),
  part_unknown: (params) => t("The file has {most} parts.", params),
  // Codes that problems have too.
  mask_missing: () => t("This picture has no mask."),
  upload_unknown: () => t("The file is no longer there: send it again."),
  webhook_unknown: () => t("There is no such webhook."),
  job_unknown: () => t("There is no such job."),
  mail_not_allowed: () => t("The service sends no mail to this address."),
  destination_not_allowed: () => t("Choose a bucket that the service may write to."),
};

/**
 * The sentence about a fault.
 * @param {Pick<Fault, "code" | "params" | "detail">} fault
 * @returns {string}
 */
export function faultText({ code, params, detail }) {
  if (language === "en") return detail;
  const sentence = Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : undefined;
  if (sentence) return sentence(shown(params ?? {}));
  const [title] = reasonOf(code);
  return [title === code ? t("This value is not allowed here.") : title, sentenceOf({ code, detail })].filter(Boolean).join(" · ");
}

/** @param {NonNullable<Fault["params"]>} params */
function shown(params) {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, typeof value === "number" ? number(value) : value]));
}
