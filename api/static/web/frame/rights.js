// By which right marks are removed: asked once in a dialog, remembered by this browser, sent with each job.

const KEPT = "cleanplate.rights";
const FIELDS = ["rights_basis", "attested_by", "rights_reference"];

/** The statement as the API takes it, or null where it was not made yet. */
export function statement() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT));
    return kept && FIELDS.every((name) => typeof kept[name] === "string" && kept[name]) ? kept : null;
  } catch {
    return null; // of an older page, or storage is off
  }
}

/** Ask for it, showing what is known. Resolves to the statement, or null where the dialog was closed without one. */
export function ask() {
  const dialog = document.getElementById("rights");
  const form = document.getElementById("rights-form");
  const known = statement() ?? {};
  for (const name of FIELDS) {
    if (known[name]) form.elements[name].value = known[name];
  }
  return new Promise((resolve) => {
    const closed = new AbortController();
    const once = { signal: closed.signal };
    form.querySelector("[data-close]").addEventListener("click", () => dialog.close(), once);
    form.addEventListener("submit", () => keep(Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]))), once);
    dialog.addEventListener("close", () => {
      closed.abort();
      resolve(dialog.returnValue === "confirmed" ? statement() : null);
      dialog.returnValue = "";
    }, once);
    dialog.showModal();
  });
}

/** The statement, asked for where it was not made yet; null where it is refused. */
export async function required() {
  return statement() ?? (await ask());
}

function keep(stated) {
  localStorage.setItem(KEPT, JSON.stringify(stated));
}
