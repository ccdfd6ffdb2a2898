// The mask as the service takes it, of the picture's full size however large: COCO's run lengths, column by column.
// Only a band of columns is held as pixels at a time.

const MOST_BAND_PIXELS = 2e6;

/**
 * The mask's JSON file as a Blob, or null where nothing is marked.
 */
export async function maskFile(strokes, width, height) {
  const counts = await runLengths(strokes, width, height);
  if (counts.length < 2) return null;
  return new Blob([JSON.stringify({ rle: [{ size: [height, width], counts: packed(counts) }] })], { type: "application/json" });
}

/** Lengths of alternating runs of unmarked and marked pixels, column by column, beginning with unmarked ones. */
export async function runLengths(strokes, width, height) {
  const runs = new Runs();
  const box = strokes.bounds(width, height);
  if (!box) {
    runs.add(0, width * height);
    return runs.counts;
  }
  const [left, top, right, bottom] = box;
  runs.add(0, left * height);
  const step = Math.max(1, Math.floor(MOST_BAND_PIXELS / (bottom - top)));
  for (let from = left; from < right; from += step) {
    const columns = Math.min(step, right - from);
    scan(bandOf(strokes, from, top, columns, bottom - top), columns, top, height - bottom, runs);
    await breath();
  }
  runs.add(0, (width - right) * height);
  return runs.counts;
}

class Runs {
  counts = [0];
  #value = 0;

  add(value, length) {
    if (!length) return;
    if (value !== this.#value) {
      this.counts.push(0);
      this.#value = value;
    }
    this.counts[this.counts.length - 1] += length;
  }
}

function bandOf(strokes, left, top, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.translate(-left, -top);
  context.fillStyle = "#000";
  strokes.draw(context);
  return context.getImageData(0, 0, width, height).data;
}

function scan(pixels, columns, above, below, runs) {
  const rows = pixels.length / 4 / columns;
  for (let column = 0; column < columns; column += 1) {
    runs.add(0, above);
    let value = 0;
    let length = 0;
    for (let at = column * 4 + 3, row = 0; row < rows; row += 1, at += columns * 4) {
      const here = pixels[at] >> 7;
      if (here === value) {
        length += 1;
      } else {
        runs.add(value, length);
        value = here;
        length = 1;
      }
    }
    runs.add(value, length);
    runs.add(0, below);
  }
}

/** COCO's string of run lengths: five bits a character, from the fourth on as differences to the last but one. */
export function packed(counts) {
  const characters = [];
  counts.forEach((count, index) => {
    let rest = index > 2 ? count - counts[index - 2] : count;
    for (let more = true; more; ) {
      const bits = rest & 0x1f;
      rest >>= 5;
      more = bits & 0x10 ? rest !== -1 : rest !== 0;
      characters.push(String.fromCharCode((more ? bits | 0x20 : bits) + 48));
    }
  });
  return characters.join("");
}

function breath() {
  return new Promise((resolve) => setTimeout(resolve));
}
