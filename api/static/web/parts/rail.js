// A list of any length whose rows exist only where they are seen.

const MARGIN_ROWS = 4;

/** @template {{ root: HTMLElement }} Row */
export class Rail {
  length = 0;
  #place;
  #sizer;
  #options;
  /** @type {Map<number, Row>} */
  #rows = new Map();
  /** @type {Row[]} */
  #spare = [];

  /**
   * @param {HTMLElement} place it scrolls
   * @param {{
   *   rowHeight: number,
   *   newRow: () => Row,
   *   fill: (row: Row, index: number) => void,
   *   onNearEnd: () => void,
   * }} options `rowHeight` in CSS pixels; `onNearEnd` runs when the last rows come into sight
   */
  constructor(place, options) {
    this.#place = place;
    this.#options = options;
    this.#sizer = place.appendChild(document.createElement("div"));
    this.#sizer.setAttribute("role", "presentation");
    place.addEventListener("scroll", () => { this.draw(); }, { passive: true });
    new ResizeObserver(() => { this.draw(); }).observe(place);
  }

  /** Fill the rows in sight. */
  draw() {
    const { rowHeight, fill, newRow, onNearEnd } = this.#options;
    const { scrollTop, clientHeight } = this.#place;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - MARGIN_ROWS);
    const end = Math.min(this.length, Math.ceil((scrollTop + clientHeight) / rowHeight) + MARGIN_ROWS);
    this.#sizer.style.height = `${this.length * rowHeight}px`;
    for (const [index, row] of this.#rows) {
      if (index >= first && index < end) continue;
      row.root.remove();
      this.#rows.delete(index);
      this.#spare.push(row);
    }
    for (let index = first; index < end; index += 1) {
      let row = this.#rows.get(index);
      if (!row) {
        row = this.#spare.pop() ?? newRow();
        this.#insert(row, index);
      }
      fill(row, index);
    }
    if (clientHeight && end >= this.length - MARGIN_ROWS) onNearEnd();
  }

  /**
   * Rows stand in the document in their order, for whoever reads it aloud.
   * @param {Row} row
   * @param {number} index
   */
  #insert(row, index) {
    const next = Math.min(...[...this.#rows.keys()].filter((other) => other > index));
    row.root.style.transform = `translateY(${index * this.#options.rowHeight}px)`;
    this.#sizer.insertBefore(row.root, this.#rows.get(next)?.root ?? null);
    this.#rows.set(index, row);
  }

  /**
   * Scroll as little as the row at `index` needs to be seen, with one more on either side.
   * @param {number} index
   */
  reveal(index) {
    const { rowHeight } = this.#options;
    const { scrollTop, clientHeight } = this.#place;
    const [top, bottom] = [(index - 1) * rowHeight, (index + 2) * rowHeight];
    if (top < scrollTop) this.#place.scrollTop = Math.max(0, top);
    else if (bottom > scrollTop + clientHeight) this.#place.scrollTop = bottom - clientHeight;
    this.draw();
  }
}
