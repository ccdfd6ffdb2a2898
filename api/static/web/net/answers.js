// The answers of the /v1 API as far as the pages read them: types only. A test compares them with the API's description.

/** @typedef {"estimating" | "needs_review" | "queued" | "running" | "completed" | "canceled"} JobState */
/** @typedef {"catalogue" | "repair"} JobKind */
/** @typedef {"queued" | "running" | "succeeded" | "skipped" | "failed" | "canceled"} ImageState */
/** @typedef {"unseen" | "kept" | "rejected"} ReviewWord what a person thinks of a result */
/** @typedef {"estimating" | "needs_review" | "ready" | "failed" | "rejected"} TemplateState */
/** @typedef {"pending" | "delivered" | "failed"} DeliveryState */
/** @typedef {"idle" | "pending" | "sent" | "failed"} MailState */

/**
 * @template Item
 * @typedef {{ data: Item[], next_cursor: string | null }} Page
 */

/**
 * Images of a job by state.
 * @typedef {{
 *   queued: number,
 *   running: number,
 *   succeeded: number,
 *   skipped: number,
 *   failed: number,
 *   canceled: number,
 * }} Counts
 */

/**
 * @typedef {{
 *   code: string,
 *   detail: string,
 * }} ImageError
 */

/**
 * @typedef {{
 *   code: string,
 *   detail: string,
 *   needed: number | null,
 * }} ReviewError
 */

/**
 * @typedef {{
 *   templates: string[],
 *   error: ReviewError | null,
 * }} Review
 */

/**
 * @typedef {{
 *   self: string,
 *   images: string,
 * }} JobLinks
 */

/**
 * @typedef {{
 *   to: string,
 *   state: MailState,
 *   sent_at?: string,
 *   error?: ImageError,
 * }} JobMail
 */

/**
 * @typedef {{
 *   id: string,
 *   name: string | null,
 *   state: JobState,
 *   kind: JobKind,
 *   total: number,
 *   counts: Counts,
 *   tiles_done: number,
 *   images_per_second: number | null,
 *   eta_s: number | null,
 *   queue_position: number | null,
 *   review: Review | null,
 *   webhook_id: string | null,
 *   mail: JobMail | null,
 *   paused: boolean,
 *   created_at: string,
 *   started_at: string | null,
 *   finished_at: string | null,
 *   expires_at: string | null,
 *   links: JobLinks,
 * }} Job
 */

/**
 * What the worker did to an image: the part that the pages show.
 * @typedef {{
 *   preview?: { width: number, height: number },
 *   recovered?: number,
 *   masked_share?: number,
 *   residual_mark?: boolean,
 *   texts?: string[],
 *   certainty?: number[],
 *   left_out?: string[],
 *   extension_changed?: { from: string, to: string },
 *   extension_kept?: { name: string, format: string },
 * }} ImageRecord
 */

/**
 * @typedef {{
 *   id: string,
 *   position: number,
 *   name: string,
 *   source_url: string | null,
 *   review: ReviewWord,
 *   review_note: string | null,
 *   replaced_by: string | null,
 *   state: ImageState,
 *   width: number | null,
 *   height: number | null,
 *   tiles_done: number,
 *   tiles_total: number | null,
 *   error: ImageError | null,
 *   record: ImageRecord,
 *   result_url: string | null,
 *   preview_url: string | null,
 *   finished_at: string | null,
 * }} Image
 */

/**
 * @typedef {{
 *   code: string,
 *   count: number,
 *   detail: string,
 * }} Reason
 */

/**
 * @typedef {{
 *   reasons: Reason[],
 *   stages: Record<string, number>,
 * }} Overview
 */

/**
 * @typedef {{
 *   stage: string,
 *   done: number,
 *   total: number,
 * }} TemplateProgress
 */

/** @typedef {{ code: string, params: Record<string, string | number>, detail: string }} Caution */

/**
 * @typedef {{
 *   id: string,
 *   name: string,
 *   version: number,
 *   kind: "mask" | "logo" | "estimate",
 *   state: TemplateState,
 *   progress: TemplateProgress | null,
 *   error: ImageError | null,
 *   cautions: Caution[],
 *   confidence: number | null,
 *   samples: number | null,
 *   quality: { opacity?: number, tested?: number, found?: number, clean?: number } | null,
 *   place: { anchor?: string, lattice?: unknown } | null,
 *   previews: Record<string, string>,
 *   source_job_id: string | null,
 *   created_at: string,
 * }} Template
 */

/**
 * @typedef {{
 *   id: string,
 *   method: string,
 *   url: string | null,
 *   headers: Record<string, string>,
 * }} Upload
 */

/**
 * @typedef {{
 *   at: string,
 *   status: number | null,
 *   error: string | null,
 * }} DeliveryAttempt
 */

/**
 * @typedef {{
 *   id: string,
 *   event_type: string,
 *   state: DeliveryState,
 *   log: DeliveryAttempt[],
 * }} Delivery
 */

/**
 * @typedef {{
 *   queued: number,
 *   more: boolean,
 * }} Recovered
 */

/**
 * @typedef {{
 *   workers: number,
 *   reason: string | null,
 * }} Readiness
 */

/**
 * One fault of a request.
 * @typedef {{
 *   pointer: string | null,
 *   line: number | null,
 *   code: string,
 *   params: Record<string, string | number> | null,
 *   detail: string,
 * }} Fault
 */

export {};
