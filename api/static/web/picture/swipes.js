// Quick swipes of one finger. A slow one moves the picture, as always.

/** @typedef {"left" | "right" | "up" | "down"} Swipe */

const LEAST_PX = 60;
const LONGEST_MS = 350;

/**
 * Report each swipe on an element.
 * @param {HTMLElement} element
 * @param {(way: Swipe) => void} onSwipe
 */
export function swipeOf(element, onSwipe) {
  let fingers = 0;
  /** @type {{ x: number, y: number, at: number } | null} Null once a second finger came. */
  let start = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers += 1;
    start = fingers === 1 ? { x: event.clientX, y: event.clientY, at: event.timeStamp } : null;
  });
  const lift = (/** @type {PointerEvent} */ event) => {
    if (event.pointerType !== "touch") return;
    fingers = Math.max(0, fingers - 1);
    const way = start && event.type === "pointerup" ? directionOf(event.clientX - start.x, event.clientY - start.y, event.timeStamp - start.at) : null;
    start = null;
    if (way) onSwipe(way);
  };
  element.addEventListener("pointerup", lift);
  element.addEventListener("pointercancel", lift);
}

/**
 * The direction of a finger's way; null where it is short, slow or slanting.
 * @param {number} dx in CSS pixels
 * @param {number} dy
 * @param {number} milliseconds
 * @returns {Swipe | null}
 */
export function directionOf(dx, dy, milliseconds) {
  const [along, across] = [Math.max(Math.abs(dx), Math.abs(dy)), Math.min(Math.abs(dx), Math.abs(dy))];
  if (milliseconds > LONGEST_MS || along < LEAST_PX || across > along / 2) return null;
  if (along === Math.abs(dx)) return dx > 0 ? "right" : "left";
  return dy > 0 ? "down" : "up";
}
