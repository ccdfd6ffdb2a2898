// What scripts say, in the reader's language. The page carries the translations; English is what the scripts say.

const element = document.getElementById("texts");
const translations = element ? JSON.parse(element.textContent) : {};
export const language = document.documentElement.lang;

/** The text in the reader's language, with `{name}` replaced from `values`. */
export function t(text, values = {}) {
  return filled(translations[text] ?? text, values);
}

/** One text for 1 and another for all other counts; `{count}` is the count. */
export function n(one, many, count, values = {}) {
  const forms = translations[one];
  const chosen = forms ? forms[Math.min(forms.length - 1, count === 1 ? 0 : 1)] : count === 1 ? one : many;
  return filled(chosen, { count: number(count), ...values });
}

/** A number as the reader writes it. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** A length of time, in seconds, in words: the largest unit that fits, rounded. */
export function duration(seconds) {
  const [unit, size] = seconds < 90 ? ["second", 1] : seconds < 5400 ? ["minute", 60] : ["hour", 3600];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(Math.max(1, Math.round(seconds / size)));
}

/** A size of a file. */
export function bytes(count) {
  const [unit, size] = count < 1e6 ? ["kilobyte", 1e3] : count < 1e9 ? ["megabyte", 1e6] : ["gigabyte", 1e9];
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: count < 1e7 && count >= 1e6 ? 1 : 0 }).format(count / size);
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
