import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

const page = openPage(`<button id="send">Send</button><script type="application/json" id="first">{"data": []}</script>
  <template id="card"><li><b data-slot="name"></b><input data-slot="box"></li></template>`, { url: "about:blank" });
Object.defineProperty(globalThis, "localStorage", { get: () => page.localStorage, configurable: true });
const dom = await import("../../../api/static/web/frame/dom.js");
const { notify, notifyError, reportingErrors } = await import("../../../api/static/web/frame/notices.js");
const rights = await import("../../../api/static/web/frame/rights.js");
const { Problem, delay } = await import("../../../api/static/web/net/api.js");

const notices = () => [...dom.byId("notices").children].map(({ className, textContent }) => [className, textContent]);
const clear = () => dom.byId("notices").replaceChildren();

test("an element is found by its id, of its type", () => {
  assert.equal(dom.buttonById("send").textContent, "Send");
  assert.throws(() => dom.inputById("send"), /#send is not of the type HTMLInputElement/);
  assert.throws(() => dom.byId("nowhere"), /no element #nowhere/);
  assert.equal(dom.optionalById("nowhere"), null);
  assert.deepEqual(dom.readJson("first"), { data: [] });
});

test("a template is cloned with its slots, which must be there unless they are optional", () => {
  const card = dom.cloneTemplate("card", { name: HTMLElement, box: HTMLInputElement }, { reject: HTMLButtonElement });
  card.name.textContent = "<b>Doe</b>";
  assert.equal(card.root.querySelector("b b"), null);
  assert.equal(card.box.checked, false);
  assert.equal(card.reject, null);
  assert.throws(() => dom.cloneTemplate("card", { missing: HTMLElement }), /data-slot="missing"/);
  assert.throws(() => dom.cloneTemplate("card", { name: HTMLInputElement }), /data-slot="name"/);
});

test("an element's attributes may be without a value, or absent, and its texts are texts", () => {
  const element = dom.createElement("button", { hidden: true, title: "", lang: null, role: false }, "<i>", dom.createElement("b"));
  assert.equal(element.outerHTML, '<button hidden="" title="">&lt;i&gt;<b></b></button>');
});

test("work runs while the page is visible, from its start each time", async () => {
  /** @type {AbortSignal[]} */
  const runs = [];
  /** @type {unknown[]} */
  const errors = [];
  const work = (/** @type {AbortSignal} */ signal) => {
    runs.push(signal);
    return delay(60_000, signal);
  };
  const watcher = dom.runWhileVisible(work, (error) => errors.push(error));
  const setHidden = (/** @type {boolean} */ hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  };
  setHidden(true);
  setHidden(false);
  watcher.restart();
  watcher.stop();
  setHidden(false);
  assert.deepEqual(runs.map(({ aborted }) => aborted), [true, true, true]);
  watcher.restart();
  assert.equal(runs.at(-1)?.aborted, false);
  await Promise.resolve();
  assert.deepEqual(errors, []);
});

test("a failure of the work is reported", async () => {
  const error = await /** @type {Promise<unknown>} */ (new Promise((resolve) => dom.runWhileVisible(() => Promise.reject(new Error("It broke.")), resolve)));
  assert.ok(error instanceof Error && error.message === "It broke.");
});

test("a notice is closed by its button, or by the script that showed it", () => {
  notify("warning", "Careful", "It is hot.");
  const remove = notify("info", "Wait", "", { lasting: true });
  assert.deepEqual(notices(), [["notice notice-warning", "CarefulIt is hot.Close"], ["notice notice-info", "WaitClose"]]);
  dom.query(dom.byId("notices"), "button").click();
  remove();
  assert.deepEqual(notices(), []);
});

test("a problem is shown by its title, in English its detail; an abort is not shown", () => {
  notifyError(new Problem({ code: "not_found", title: "Not found", detail: "There is no such job." }));
  notifyError(new DOMException("", "AbortError"));
  assert.deepEqual(notices(), [["notice notice-error", "Not foundThere is no such job.Close"]]);
  clear();
});

test("a listener's error is shown, also one of its promise", async () => {
  const error = () => new Problem({ code: "x", title: "Refused", detail: "No." });
  reportingErrors(() => { throw error(); })();
  reportingErrors(() => Promise.reject(error()))();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(notices().length, 2);
  clear();
});

test("a statement of rights counts on its page where the browser keeps nothing", () => {
  assert.throws(() => page.localStorage, { name: "SecurityError" });
  assert.equal(rights.statement(), null);
  const made = { rights_basis: "owner", attested_by: "Jo Doe", rights_reference: "own photographs" };
  rights.remember(made);
  assert.deepEqual(rights.statement(), made);
});
