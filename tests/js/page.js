// A page for the scripts under test: jsdom's document and elements as globals, before a script is imported.

import { JSDOM, VirtualConsole } from "jsdom";

/** The names that the scripts expect of a browser and Node does not have. */
const GLOBALS = /** @type {const} */ ([
  "document", "HTMLElement", "HTMLButtonElement", "HTMLInputElement", "HTMLSelectElement", "HTMLTextAreaElement", "HTMLImageElement",
  "HTMLTemplateElement", "HTMLDialogElement", "HTMLFormElement", "Element", "RadioNodeList", "XMLHttpRequest", "Event",
  "MouseEvent", "KeyboardEvent",
]);

/**
 * Open a page with this body. Each test file opens one, then imports the scripts.
 * @param {string} [body]
 * @param {{ language?: string, texts?: object, pictureTypes?: object, url?: string }} [options] what the service writes into the page
 */
export function openPage(body = "", { language = "en", texts, pictureTypes, url = "http://page.example/" } = {}) {
  const carriers = Object.entries({ texts, "picture-types": pictureTypes }).map(
    ([id, value]) => (value ? `<script type="application/json" id="${id}">${JSON.stringify(value)}</script>` : ""),
  );
  const dom = new JSDOM(
    `<!doctype html><html lang="${language}"><head><meta name="csrf-token" content="first-token">${carriers.join("")}</head>
    <body><div id="notices"></div>${body}</body></html>`,
    { url, pretendToBeVisual: true, virtualConsole: new VirtualConsole() }, // silent: jsdom has no canvas, and says so
  );
  dom.window.Element.prototype.scrollIntoView = () => {}; // jsdom has no layout
  for (const name of GLOBALS) Object.defineProperty(globalThis, name, { value: dom.window[name], configurable: true, writable: true });
  return dom.window;
}
