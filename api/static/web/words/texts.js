// The scripts' texts in the reader's language. The page carries the translations by their English text.

import { parseJson } from "../net/json.js";

const carrier = document.getElementById("texts");
/** The form of a text, or all plural forms, by the English text. */
const translations = new Map(Object.entries(/** @type {Record<string, string | string[]>} */ (carrier ? parseJson(carrier.textContent) : {})));
export const language = document.documentElement.lang || "en";

/** @typedef {Record<string, string | number>} Values */

/**
 * The text in the reader's language; `values` replace its `{name}`.
 * @param {string} text
 * @param {Values} [values]
 */
export function t(text, values = {}) {
  const translation = translations.get(text);
  return fillPlaces(typeof translation === "string" ? translation : text, values);
}

/**
 * The text for a count: `one` for 1, `many` for all others; `{count}` is the count.
 * @param {string} one
 * @param {string} many
 * @param {number} count
 */
export function n(one, many, count) {
  const forms = translations.get(one);
  const index = count === 1 ? 0 : 1;
  const text = Array.isArray(forms) ? forms[Math.min(forms.length - 1, index)] : undefined;
  return fillPlaces(text ?? (index ? many : one), { count: number(count) });
}

/**
 * A number as the reader writes it.
 * @param {number} value
 * @param {number} [digits] after the decimal mark, at most
 */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/**
 * A length of time in words: the largest unit that fits, rounded.
 * @param {number} seconds
 */
export function duration(seconds) {
  const [unit, size] = seconds < 90 ? ["second", 1] : seconds < 5400 ? ["minute", 60] : ["hour", 3600];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return format.format(Math.max(1, Math.round(seconds / size)));
}

/**
 * The size of a file.
 * @param {number} count of bytes
 */
export function bytes(count) {
  const [unit, size] = count < 1e6 ? ["kilobyte", 1e3] : count < 1e9 ? ["megabyte", 1e6] : ["gigabyte", 1e9];
  const maximumFractionDigits = count < 1e7 && count >= 1e6 ? 1 : 0;
  const shown = count && Math.max(1e3, count); // no file has 0 kB
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits }).format(shown / size);
}

/**
 * @param {string} text
 * @param {Values} values
 */
function fillPlaces(text, values) {
  return text.replace(/\{(\w+)\}/g, (place, /** @type {string} */ name) => String(values[name] ?? place));
}
