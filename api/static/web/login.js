// Exchanges the secret of a one-time link for a session. The secret stands in the fragment, which browsers do not send;
// it leaves the address bar and the history at once.

const form = /** @type {HTMLFormElement} */ (document.getElementById("link-form"));
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (secret) {
  /** @type {HTMLInputElement} */ (form.elements.namedItem("link")).value = secret;
  form.submit();
} else {
  location.replace(form.dataset.login);
}
