// The page of a one-time link: it exchanges the link's secret for a session. The secret is the fragment, which browsers do
// not send; it leaves the address bar and the history at once.

import { byId, query } from "../frame/dom.js";
import { below } from "../net/below.js";

const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (secret) {
  const form = byId("link-form", HTMLFormElement);
  query(form, '[name="link"]', HTMLInputElement).value = secret;
  form.submit();
} else {
  location.replace(below("/login"));
}
