"""The table of all problems that the API answers with: status, title, meaning and advice of each code.

The documentation, the pages at ``/problems/{code}`` and the answers are made of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What all problems of one code share."""

    status: int
    title: str
    #: When the service answers so.
    meaning: str
    #: What the caller can do.
    advice: str


_KEY = "An administrator makes keys with `cleanplate keys create`."
_LATER = "Send the request again after the seconds in `Retry-After`; an `Idempotency-Key` makes that safe."
_STATE = "Look at its state with `GET`, and wait for the state that the call needs."
_OPERATOR = "If it lasts, tell the operator of the service the `request_id` of the answer."
_SAVE = "Open the file in another program, and save it again."

CATALOGUE: dict[str, Kind] = {
    "request_invalid": Kind(
        400, "The request cannot be understood",
        "The request is not HTTP as the service reads it, or a form breaks off.",
        "Compare the request with the example in `/docs`.",
    ),
    "json_invalid": Kind(
        400, "The body is not valid JSON",
        "The body does not parse as JSON, or names a field twice.",
        "Write the body with a JSON library, in UTF-8.",
    ),
    "key_missing": Kind(
        401, "An API key is needed",
        "The request has no header `Authorization: Bearer cp_…`.",
        "Send the header. " + _KEY,
    ),
    "key_wrong": Kind(
        401, "The API key is not valid",
        "The key is mistyped, was revoked, or has expired.",
        "Check the key for missing characters, or use another one. " + _KEY,
    ),
    "scope_missing": Kind(
        403, "The API key does not allow this",
        "The key is valid, and lacks the scope that the answer names: `read`, `submit` or `admin`.",
        "Use a key with this scope. " + _KEY,
    ),
    "forgery_suspected": Kind(
        403, "The request did not come from this service's own page",
        "A browser's session sent a request without the token of the page.",
        "Load the page again. A program uses an API key instead of a session.",
    ),
    "link_invalid": Kind(
        403, "The link is invalid or has expired",
        "A signed link was changed, or its time is over.",
        "Ask the API for a new link: the upload, the image or the job gives one.",
    ),
    "not_found": Kind(
        404, "Not found",
        "Nothing is at this address, or what is there belongs to another tenant or was deleted.",
        "Check the id, and that the key belongs to the tenant that made it.",
    ),
    "blob_not_found": Kind(
        404, "File not found",
        "The file was never sent to its link, or is no longer stored.",
        "Send the file to its link before you name the upload, or upload it again.",
    ),
    "method_not_allowed": Kind(
        405, "Method not allowed",
        "The address exists, and does not take this method.",
        "Use one of the methods in the header `Allow`.",
    ),
    "job_not_finished": Kind(
        409, "The job has not ended yet",
        "The call needs a job in the state `completed` or `canceled`.",
        "Follow the job with `GET /v1/jobs/{id}?wait=30` or its events, and call again at its end.",
    ),
    "job_canceled": Kind(
        409, "The job was canceled",
        "A canceled job takes no further work.",
        "Submit the pictures in a new job.",
    ),
    "nothing_new": Kind(
        409, "Every picture was done before",
        "With `only_new`, each picture of the source has a result in the destination already.",
        "Nothing has to be done: the call succeeds again when a picture is new or has changed.",
    ),
    "nothing_to_redo": Kind(
        409, "No image can be done again",
        "No image of the job fits the selection, or their originals are gone.",
        "Judge images as `rejected` first, or name them by `images`, `state` or `error_code`.",
    ),
    "job_not_in_review": Kind(
        409, "The job is not in review",
        "Only a job in the state `needs_review` can be approved.",
        _STATE,
    ),
    "template_not_in_review": Kind(
        409, "The template is not in review",
        "Only a template in the state `needs_review` can be approved or rejected.",
        _STATE,
    ),
    "template_in_use": Kind(
        409, "The template is in use",
        "An open job names the template, so that it cannot be deleted.",
        "Wait for the end of the job, or cancel it.",
    ),
    "template_missing": Kind(
        409, "There is no template to approve",
        "No mark was found in the job's pictures, and the request names none.",
        "Name templates in `templates`, or cancel the job and submit it with a mask.",
    ),
    "paused_by_operator": Kind(
        409, "Paused by the operator",
        "The operator has paused the tenant or the whole service; a key cannot end that.",
        "Ask the operator of the service.",
    ),
    "image_not_finished": Kind(
        409, "The image has not ended yet",
        "The image waits for a worker, or is being worked on.",
        "Follow its job, and ask again when the image has ended.",
    ),
    "image_failed": Kind(
        409, "The image has no result: it failed",
        "The detail has the image's own code and sentence.",
        "Follow the sentence, then `POST /v1/jobs/{id}/retry` or `/redo`.",
    ),
    "image_canceled": Kind(
        409, "The image has no result: its job was canceled",
        "The job was canceled before this image was done.",
        "Submit the picture in a new job.",
    ),
    "webhook_disabled": Kind(
        409, "The webhook is disabled",
        "Nothing is posted to it: it answered 410, or three days passed without a success.",
        'Enable it with `PATCH /v1/webhooks/{id}` and `{"enabled": true}`, then call again.',
    ),
    "idempotency_key_busy": Kind(
        409, "The same request is still being processed",
        "An earlier request with this `Idempotency-Key` has not been answered yet.",
        "Send the same request again after the seconds in `Retry-After`: it gets the first one's answer.",
    ),
    "upload_complete": Kind(
        409, "The upload is already complete",
        "All parts are joined, so that no part can be sent any more.",
        "Name the upload in a job, or make a new upload for other bytes.",
    ),
    "upload_in_use": Kind(
        409, "The upload is in use",
        "A job names the upload, so that it cannot be deleted.",
        "Delete the job first; its uploads go with it.",
    ),
    "request_too_large": Kind(
        413, "The request is too large",
        "The body has more bytes or parts than this address takes.",
        "Send pictures by `POST /v1/uploads`, and long lists as a manifest.",
    ),
    "image_too_large": Kind(
        413, "The picture's file is too large",
        "The file has more bytes than the service takes for one picture.",
        "Save the picture smaller, or ask the operator for a higher limit.",
    ),
    "mask_too_large": Kind(
        413, "The mask's file is too large",
        "The file has more bytes than the service takes for one mask.",
        "Save the mask as PNG with one channel, or use boxes.",
    ),
    "range_unsatisfiable": Kind(
        416, "The file has no such part",
        "The header `Range` begins behind the file's end, or cannot be read.",
        "Compare with `Content-Length`: a file that has arrived whole needs no further part.",
    ),
    "media_type_unsupported": Kind(
        415, "Unsupported media type",
        "The address does not take a body of this `Content-Type`.",
        "Send `application/json`, or `multipart/form-data` where the description names it.",
    ),
    "validation_failed": Kind(
        422, "The request does not match the schema",
        "A field is missing, unknown, or has a value that is not allowed; `errors` has the place of each.",
        "Correct the fields that `errors` names.",
    ),
    "idempotency_key_invalid": Kind(
        422, "Invalid Idempotency-Key",
        "The header must have 1 to 255 printable ASCII characters without blanks.",
        "Use a UUID, or the SHA-256 of your own order number.",
    ),
    "idempotency_key_reused": Kind(
        422, "The Idempotency-Key belongs to another request",
        "In the last 24 hours this key came with another body or to another address.",
        "Use a new key for each new request, and the same key only to repeat one.",
    ),
    "size_mismatch": Kind(
        422, "The file's size differs from the announced size",
        "More or fewer bytes arrived than the upload announced.",
        "Send the whole file again, or announce its right size in a new upload.",
    ),
    "size_missing": Kind(
        422, "An upload's size is missing",
        "The operator counts uploaded bytes, so that each upload must announce its size.",
        "Add `size` in bytes to each entry of `files`.",
    ),
    "parts_invalid": Kind(
        422, "Parts of the file are missing",
        "The list does not name every part, or an `ETag` is not that of the part that arrived.",
        "Send the missing parts, and name each with the `ETag` of its answer.",
    ),
    "cursor_invalid": Kind(
        422, "Invalid cursor",
        "The text in `cursor` is not one that this list gave.",
        "Use `next_cursor` of the page before as it is, or begin without a cursor.",
    ),
    "rights_missing": Kind(
        422, "The statement of rights is missing",
        "A job must state by which right the marks are removed, and who answers for it.",
        "Add `rights_basis`, `attested_by` and `rights_reference`.",
    ),
    "upload_unknown": Kind(
        422, "Unknown upload",
        "An id names no upload of this tenant, or one that has expired or is not complete.",
        "Upload the file again, and name the new id.",
    ),
    "template_unknown": Kind(
        422, "Unknown template",
        "An id names no template of this tenant.",
        "List them with `GET /v1/templates`.",
    ),
    "template_not_ready": Kind(
        422, "The template is not ready",
        "The template is still estimated, waits for a review, or was rejected.",
        "Approve it, or wait until its state is `ready`.",
    ),
    "templates_mixed": Kind(
        422, "A mask's template cannot be combined with others",
        "A template of a painted mask stands alone: it has no mark that could be looked for.",
        "Name it as the only template.",
    ),
    "job_unknown": Kind(
        422, "Unknown job",
        "An id in the body names no job of this tenant.",
        "List them with `GET /v1/jobs`.",
    ),
    "webhook_unknown": Kind(
        422, "Unknown webhook",
        "An id in the body names no webhook of this tenant.",
        "List them with `GET /v1/webhooks`, or make one with `POST /v1/webhooks`.",
    ),
    "mask_missing": Kind(
        422, "An image has no mask",
        "Neither the job nor the image says where the mark is.",
        "Give the job a `mask`, or each image that `errors` names.",
    ),
    "text_marks_missing": Kind(
        422, "Text marks are not available",
        "The service does not have the detector of text marks.",
        "Use another kind of mask, or ask the operator to install `cleanplate[text]`.",
    ),
    "too_many_images": Kind(
        422, "The job has too many images",
        "The job, or the prefix in S3, has more entries than one job may have.",
        "Split it into several jobs, or name a narrower prefix.",
    ),
    "url_not_allowed": Kind(
        422, "The address is not allowed",
        "The service fetches only `https://` of public hosts, and S3 from the operator's list of buckets.",
        "Use an allowed address, or ask the operator to allow the bucket.",
    ),
    "mail_not_allowed": Kind(
        422, "The service may not mail this address",
        "The service sends no mail, or the address is not among those that its operator allows.",
        "Name an allowed address, or leave `mail` out. The operator lists them in `CLEANPLATE_MAIL_RECIPIENTS`.",
    ),
    "destination_not_allowed": Kind(
        422, "The destination is not allowed",
        "The bucket or folder is not on the operator's list of destinations.",
        "Ask the operator to add it to `CLEANPLATE_DESTINATION_BUCKETS`.",
    ),
    "destination_refused": Kind(
        422, "No write access to the destination",
        "The bucket does not exist, or does not let the service write and delete there.",
        "Grant the service's credentials `s3:PutObject` and `s3:DeleteObject` on the prefix.",
    ),
    "destination_collides": Kind(
        422, "Several results have one address",
        "Two images would have the same address in the destination, or a result would overwrite its source.",
        "Add `{path}`, `{custom_id}` or `{image_id}` to the destination, or name another prefix.",
    ),
    "manifest_invalid": Kind(
        422, "The manifest has invalid rows",
        "At least one row cannot be used; `errors` has the line and the reason of the first hundred.",
        "Correct these rows, or send `on_error: skip` to leave them out.",
    ),
    "manifest_unreadable": Kind(
        422, "The manifest cannot be read",
        "The file is neither JSON Lines nor CSV in UTF-8, or its first line names no known columns.",
        "Compare its first lines with the example in `/docs`, and state its `format`.",
    ),
    "source_refused": Kind(
        422, "No read access to the bucket",
        "The bucket or key does not exist, or does not let the service read.",
        "Grant the service's credentials `s3:GetObject` and `s3:ListBucket`, and check the name.",
    ),
    "image_unreadable": Kind(
        422, "The file is not a readable picture",
        "The file is damaged, or no picture.",
        _SAVE,
    ),
    "image_truncated": Kind(
        422, "The picture's file is truncated",
        "The end of the file is missing.",
        "Send the whole file again.",
    ),
    "image_empty": Kind(
        422, "The picture has no pixels",
        "The file has no bytes, or a width or height of nothing.",
        "Leave the file out, or save it again.",
    ),
    "image_too_many_pixels": Kind(
        422, "The picture has too many pixels",
        "Width times height is above the service's limit.",
        "Scale the picture down, or ask the operator for a higher limit.",
    ),
    "image_format_unsupported": Kind(
        422, "Files of this kind are not supported",
        "The service reads JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP and TIFF.",
        "Save the picture in one of these formats.",
    ),
    "image_too_many_parts": Kind(
        422, "The file has too many frames, pages or parts",
        "The file holds more pictures or segments than the service reads.",
        "Split the file, or export it again.",
    ),
    "image_needs_too_much_memory": Kind(
        422, "The picture needs too much memory",
        "To decode this file takes more memory than a worker has for one picture.",
        "Scale the picture down, or save it in another format.",
    ),
    "image_takes_too_long": Kind(
        422, "The picture takes too long to decode",
        "The decoder did not end within the service's time limit.",
        "Export the file again, in another format.",
    ),
    "mask_unreadable": Kind(
        422, "The mask is not a readable picture",
        "The mask's file is damaged, or neither a picture nor JSON shapes.",
        _SAVE,
    ),
    "mask_empty": Kind(
        422, "The mask marks nothing",
        "No pixel of the mask is above its threshold.",
        "Paint the mark white on black, or check whether the mask needs `mask_inverted`.",
    ),
    "mask_covers_nearly_all": Kind(
        422, "The mask marks nearly the whole picture",
        "The marked share is above `max_marked_share`, 90 % by default.",
        "Check whether black and white are swapped, or raise `max_marked_share`.",
    ),
    "mask_too_many_pixels": Kind(
        422, "The mask has too many pixels",
        "The mask's width times height is above the service's limit.",
        "Scale the mask down: it is fitted to the picture.",
    ),
    "mask_too_many_parts": Kind(
        422, "The mask's file has too many parts",
        "The file holds more pictures, shapes or segments than the service reads.",
        "Save the mask as PNG.",
    ),
    "mask_format_unsupported": Kind(
        422, "Unsupported mask format",
        "The mask's file is of a kind that the service does not read.",
        "Save the mask as PNG.",
    ),
    "mask_size_mismatch": Kind(
        422, "The mask's size differs from its picture's",
        "A mask must have its picture's size or shape, unless an anchor lays it.",
        "Save the mask in the picture's size, or give it an `anchor`.",
    ),
    "rate_limited": Kind(
        429, "Too many requests",
        "The key, or the address without a key, has used up its requests of this minute.",
        "Wait for the seconds in `Retry-After`, and spread requests over the minute.",
    ),
    "quota_exceeded": Kind(
        429, "Quota exceeded",
        "The tenant's limit of images a day, of images in work, or of uploaded bytes a day is reached.",
        "Wait as `Retry-After` says, split the job, or ask the operator for a higher quota.",
    ),
    "internal_error": Kind(
        500, "Internal error",
        "The service failed, not the request. Its log has the reason under the `request_id`.",
        "Send the request again. " + _OPERATOR,
    ),
    "service_busy": Kind(
        503, "The service is busy",
        "All places for requests were taken for ten seconds.",
        _LATER,
    ),
    "too_many_streams": Kind(
        503, "Too many event streams",
        "The process holds as many event streams and long polls as it may.",
        "Close streams that nobody reads, or poll without `wait`; then try again after `Retry-After`.",
    ),
    "not_ready": Kind(
        503, "The service is not ready",
        "A server that the service needs does not answer, or a program of the service does not run.",
        _LATER + " " + _OPERATOR,
    ),
    "ledger_unavailable": Kind(
        503, "The ledger is unavailable",
        "The service's database does not answer.",
        _LATER + " " + _OPERATOR,
    ),
    "blob_store_unavailable": Kind(
        503, "The object store is unavailable",
        "The service's store of files does not answer.",
        _LATER + " " + _OPERATOR,
    ),
    "storage_full": Kind(
        507, "No room is left",
        "The disk of the service is full.",
        "The operator has to make room before anything can be written.",
    ),
    "blob_store_refused": Kind(
        503, "The object store refuses the service",
        "The service's own credentials for its store of files are wrong or lack a right.",
        "Tell the operator of the service: `cleanplate doctor` names the fault.",
    ),
}  # fmt: skip


def type_of(code: str, public_url: str) -> str:
    """The URI of a problem's type: its page at the service."""
    return f"{public_url}/problems/{code}"
