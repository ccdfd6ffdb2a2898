// The reasons why images fail and why no mark is found, with advice, in the reader's language. The API's own sentence is
// English and about one image; these are about all images with the same code.

import { language, t } from "./texts.js";

/** @type {Partial<Record<string, () => [title: string, advice: string]>>} */
const REASONS = {
  image_unreadable: () => [t("Not a picture that can be read"), t("Open the files elsewhere and save them again, then submit them in a new job.")],
  image_truncated: () => [t("The file is cut off"), t("Send these files again in a new job: their end is missing.")],
  image_empty: () => [t("The picture has no pixels"), t("Take these files out, or save them again.")],
  image_too_large: () => [t("The file is too large"), t("Save these pictures smaller, or ask whoever runs the service for a higher limit.")],
  image_too_many_pixels: () => [t("The picture has too many pixels"), t("Scale these pictures down, or ask whoever runs the service for a higher limit.")],
  image_too_many_parts: () => [t("The file has too many frames, pages or parts"), t("Split these files, or export them again.")],
  image_takes_too_long: () => [t("The picture takes too long to decode"), t("Export these files again, in another format.")],
  image_needs_too_much_memory: () => [t("The picture needs too much memory"), t("Scale these pictures down, or save them in another format.")],
  image_format_unsupported: () => [t("Files of this kind are not supported"), t("Save them as JPEG, PNG, WebP or TIFF, then submit them in a new job.")],
  image_mode_unsupported: () => [t("Colours of this kind are not supported"), t("Save them as RGB, grey or CMYK pictures, then submit them in a new job.")],
  image_output_unsupported: () => [t("The wished format cannot hold the picture"), t("Submit these pictures with another format for their results, or with their own.")],
  result_differs: () => [t("The result is not what it has to be"), t("Submit these pictures in another format, and tell whoever runs the service.")],
  mask_unreadable: () => [t("The mask cannot be read"), t("Paint the mask anew, or save its file as PNG.")],
  mask_empty: () => [t("The mask marks nothing"), t("Paint over the mark, or check whether black and white are swapped.")],
  mask_covers_nearly_all: () => [t("The mask marks nearly the whole picture"), t("Check whether black and white are swapped, or paint the mask anew.")],
  mask_size_mismatch: () => [t("The mask does not fit the picture"), t("Submit these pictures with an anchor, so that the mask is laid on pictures of other shapes.")],
  mask_too_large: () => [t("The mask's file is too large"), t("Save the mask smaller.")],
  mask_too_many_parts: () => [t("The mask's file has too many parts"), t("Save the mask as PNG.")],
  mask_too_many_pixels: () => [t("The mask has too many pixels"), t("Scale the mask down: it is fitted to the picture.")],
  blob_not_found: () => [t("The file never arrived"), t("Send these pictures again in a new job.")],
  url_not_allowed: () => [t("Nothing is fetched from this address"), t("Use https:// addresses of public servers, or buckets that the service may read.")],
  source_refused: () => [t("The server does not hand the picture out"), t("Check whether the addresses are right and open without a login.")],
  source_unavailable: () => [t("The picture's server did not answer"), t("Try again when it is well.")],
  destination_refused: () => [t("The bucket does not take the result"), t("Check whether the service may write to the destination, then try again.")],
  destination_unavailable: () => [t("The bucket for the results did not answer"), t("Try again when it is well.")],
  model_missing: () => [t("No worker has the network that was asked for"), t("Ask whoever runs the service, then try again.")],
  text_marks_missing: () => [t("No worker can read text in pictures"), t("Ask whoever runs the service, then try again.")],
  deadline_passed: () => [t("The deadline passed before it was their turn"), t("Try again: then there is no deadline any more.")],
  time_limit_exceeded: () => [t("It took too long"), t("Submit these pictures in a smaller size.")],
  worker_lost: () => [t("The worker was lost each time"), t("Try again once. If it repeats, these files are at fault: tell whoever runs the service.")],
  coder_lost: () => [t("The picture ended the program that reads it"), t("Export these files again, in another format.")],
  coders_down: () => [t("A worker cannot read pictures"), t("Tell whoever runs the service, then try again.")],
  device_out_of_memory: () => [t("The device has too little memory"), t("Try again, or submit these pictures in a smaller size.")],
  device_lost: () => [t("The device failed"), t("Try again: another worker, or the same after its restart, will do it.")],
  result_not_finite: () => [t("The network gave no usable result"), t("Try again. If it repeats, tell whoever runs the service.")],
  blob_store_unavailable: () => [t("The storage of the pictures did not answer"), t("Try again in a while.")],
  blob_store_refused: () => [t("The storage of the pictures refused the service"), t("Tell whoever runs the service, then try again.")],
  residual_mark: () => [t("The mark can still be seen"), t("Submit these pictures with a mask that is painted, or have them handed out all the same in a new job.")],
  template_unproven: () => [t("What was found is not the mark, or not all of it"), t("Paint the mark, or choose a known one.")],
  mark_of_goods: () => [t("What the pictures share may belong to the goods, as a print does"), t("If it is a mark, hand over its own file, or paint it in one picture.")],
  template_unreadable: () => [t("The known mark cannot be read"), t("Have the mark found anew, or paint it.")],
  template_version_unknown: () => [t("The known mark is of another version of the service"), t("Have the mark found anew, or paint it.")],
  template_gone: () => [t("The known mark was deleted"), t("Submit these pictures again in a new job, with another known mark.")],
  samples_too_few: () => [t("There are too few pictures to find the mark in"), t("Hand over more pictures with this mark, choose a known mark, or try with these all the same. A new job also takes the mark's own file, one painted picture, or the text of the mark.")],
  mark_not_found: () => [t("The pictures share no mark"), t("Check whether all of them have it. A mark that differs from picture to picture has to be painted.")],
  logo_without_alpha: () => [t("The logo has no transparent ground"), t("Save the logo as PNG with a transparent ground.")],
  logo_empty: () => [t("The logo's file shows nothing"), t("Choose a PNG in which the logo can be seen.")],
  logo_too_large: () => [t("The logo's file is too large"), t("Scale the logo down.")],
  sources_gone: () => [t("The pictures are gone"), t("Hand them over again in a new job.")],
  internal_error: () => [t("The service failed"), t("Try again. If it repeats, tell whoever runs the service: its log has the reason.")],
};

/**
 * The title of an error code, and advice.
 * @param {string} code
 * @returns {[title: string, advice: string]}
 */
export function reasonOf(code) {
  const reason = Object.hasOwn(REASONS, code) ? REASONS[code] : undefined;
  return reason?.() ?? [code, t("Try again. If it repeats, tell whoever runs the service.")];
}

/** What helps where a request is refused, by its code. @type {Partial<Record<string, () => string>>} */
const WAYS_OUT = {
  key_missing: () => t("Sign in again."),
  key_wrong: () => t("Sign in again."),
  scope_missing: () => t("Ask whoever gave you the key for one that may do this."),
  forgery_suspected: () => t("Reload the page."),
  not_found: () => t("It was deleted, or belongs to somebody else."),
  job_not_finished: () => t("Wait until it has ended."),
  job_canceled: () => t("Hand the pictures over in a new job."),
  job_not_in_review: () => t("Somebody has approved it already: reload the page."),
  nothing_to_redo: () => t("Reject a result first, or name another mark."),
  template_in_use: () => t("Wait until the jobs that use it have ended."),
  template_not_in_review: () => t("Somebody has decided already: reload the page."),
  template_not_ready: () => t("Approve the known mark first."),
  template_unknown: () => t("It was deleted: choose another known mark."),
  templates_mixed: () => t("Choose the mask alone, or only known marks that were found."),
  paused_by_operator: () => t("Whoever runs the service has paused it, and alone can go on."),
  webhook_disabled: () => t("Switch it on first."),
  upload_unknown: () => t("The pictures are no longer there: send them again."),
  too_many_images: () => t("Hand the pictures over in several jobs."),
  quota_exceeded: () => t("Wait until open jobs have ended, or ask whoever runs the service for more."),
  rate_limited: () => t("Wait a moment, then try again."),
  service_busy: () => t("Wait a moment, then try again."),
  storage_full: () => t("Tell whoever runs the service."),
  manifest_unreadable: () => t("Save the list as CSV in UTF-8, or as JSON Lines."),
  mail_not_allowed: () => t("Name an address that whoever runs the service allows."),
  destination_not_allowed: () => t("Choose a bucket that the service may write to."),
  destination_collides: () => t("Give each picture a name of its own in the address."),
  request_too_large: () => t("Hand over fewer things at once."),
};

/**
 * The service's sentence about an error, in the reader's language. The API's own is English; others read what helps, or
 * nothing but the title where nobody has written that.
 * @param {{ code: string, detail: string }} error
 * @returns {string}
 */
export function sentenceOf({ code, detail }) {
  if (language === "en") return detail;
  const wayOut = Object.hasOwn(WAYS_OUT, code) ? WAYS_OUT[code] : undefined;
  return wayOut?.() ?? (Object.hasOwn(REASONS, code) ? reasonOf(code)[1] : "");
}

/** The codes whose cause lies in the file, its mask or its address: another try ends alike. */
const FINAL = new Set([
  "image_unreadable", "image_truncated", "image_empty", "image_too_large", "image_too_many_pixels", "image_needs_too_much_memory",
  "image_too_many_parts", "image_takes_too_long", "mask_too_many_parts", "time_limit_exceeded", "result_differs",
  "image_format_unsupported", "image_mode_unsupported", "image_output_unsupported", "mask_unreadable", "mask_empty",
  "mask_covers_nearly_all", "mask_size_mismatch", "mask_too_large", "mask_too_many_pixels", "blob_not_found", "url_not_allowed",
  "residual_mark", "template_gone", "coder_lost",
]);

/**
 * Whether another try can end otherwise.
 * @param {string} code
 */
export function isWorthRetrying(code) {
  return !FINAL.has(code);
}
