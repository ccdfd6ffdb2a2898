// Before what cannot be undone: a question, and what follows from it.

const at = (id) => document.getElementById(id);

/** Whether the person says yes, in the page's dialog `sure`; its button says `yes`. */
export function sure(title, detail, yes) {
  at("sure-title").textContent = title;
  at("sure-detail").textContent = detail;
  at("sure-yes").textContent = yes;
  at("sure").returnValue = "";
  at("sure").showModal();
  return new Promise((resolve) => at("sure").addEventListener("close", () => resolve(at("sure").returnValue === "yes"), { once: true }));
}
