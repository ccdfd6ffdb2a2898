// Elements made by scripts: parts come from the page's templates, and whatever people wrote goes in as text.

/** A copy of a template's element, `{root, ...slots}`: its slots by their `data-slot`. */
export function part(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  const slots = [...root.querySelectorAll("[data-slot]")].map((element) => [element.dataset.slot, element]);
  return { root, ...Object.fromEntries(slots) };
}

/** An element with attributes and children; a text becomes a text, never HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Set an element's text where it is another: unchanged text is not told again to whoever listens. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** What the service wrote into the page as JSON. */
export function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/**
 * Run `work(signal)` while the page is seen, anew each time that it is shown again: a browser has few connections, and
 * tabs in the background should hold none. Errors other than its ending go to `failed`. Returns `{stop(), again()}`:
 * `again` ends what runs, or what was stopped, and begins anew.
 */
export function whileSeen(work, failed) {
  let running = null;
  let stopped = false;
  const look = () => {
    if (document.hidden || stopped) {
      running?.abort();
      running = null;
    } else if (!running) {
      running = new AbortController();
      work(running.signal).catch((error) => error.name === "AbortError" || failed(error));
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
  return {
    stop() {
      stopped = true;
      look();
    },
    again() {
      stopped = false;
      running?.abort();
      running = null;
      look();
    },
  };
}
