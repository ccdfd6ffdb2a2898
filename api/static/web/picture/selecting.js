// The shape of a mark from a click or a rough stroke. No network is needed, and nothing is sent: a worker of the browser
// runs it on the pixels around the click.
//
// A click floods by colour. Of all tolerances the one counts whose region has the sharpest edge (as maximally stable
// regions do: Matas et al. 2002); letters of the same colour nearby join it. A stroke covers the mark: the picture without
// it is interpolated from around the stroke, what differs from that (Otsu 1979) has the mark's colour, and the mark is what
// is nearer to this colour than to what lies behind it.

/** @typedef {{ pixels: Uint8ClampedArray, width: number, height: number }} Pixels RGBA, row by row */

const TOLERANCES = [8, 12, 16, 22, 28, 36, 44, 54, 66, 80, 96, 116];
const MOST_SHARE = 0.3; // of the pixels: a larger region is the background
const LEAST_PIXELS = 6;
const LEAST_EDGE = 8; // difference of colour across the edge of a mark
const REACH = 1.6; // heights of a letter to the next one

/**
 * The mark at a point: 1 where a pixel belongs to it.
 * @param {Pixels} image
 * @param {number} x
 * @param {number} y
 * @returns {Uint8Array}
 */
export function selectAt(image, x, y) {
  const { width, height } = image;
  const seed = sharpestSeed(image, x, y);
  /** @type {{ region: Region, tolerance: number, edge: number } | null} */
  let best = null;
  for (const tolerance of TOLERANCES) {
    const region = flood(image, seed, tolerance);
    if (region.places.length > MOST_SHARE * width * height) break;
    if (region.places.length < LEAST_PIXELS) continue;
    const edge = edgeOf(image, region);
    if (!best || edge > best.edge * 1.02) best = { region, tolerance, edge };
  }
  const mask = new Uint8Array(width * height);
  if (!best || best.edge < LEAST_EDGE) return mask;
  for (const region of alike(image, best.region, best.tolerance, best.edge)) {
    for (const place of region.places) mask[place] = 1;
  }
  return withEdge(image, mask);
}

/**
 * The mark under a stroke: 1 where a pixel belongs to it.
 * @param {Pixels} image
 * @param {Uint8Array} stroke 1 where the stroke is
 * @returns {Uint8Array}
 */
export function selectUnder(image, stroke) {
  const behind = interpolated(image, stroke);
  const differences = differencesFrom(image, behind, stroke);
  const threshold = otsu(differences, stroke);
  const colour = medianColour(image, differences, threshold);
  return stroke.map((marked, place) => {
    const difference = Number(differences[place]);
    return marked && difference > LEAST_EDGE && distance(colour, colourAt(image, place)) < difference ? 1 : 0;
  });
}

/** @typedef {{ places: number[], left: number, top: number, right: number, bottom: number }} Region `right` and `bottom` are the last ones */
/** @typedef {[red: number, green: number, blue: number]} Colour */

/**
 * @param {Pixels} image
 * @param {number} place
 * @returns {Colour}
 */
function colourAt({ pixels }, place) {
  return [Number(pixels[4 * place]), Number(pixels[4 * place + 1]), Number(pixels[4 * place + 2])];
}

/**
 * @param {Colour} one
 * @param {Colour} other
 */
function distance(one, other) {
  return Math.max(Math.abs(one[0] - other[0]), Math.abs(one[1] - other[1]), Math.abs(one[2] - other[2]));
}

/**
 * The flattest pixel at a click: nobody hits a thin letter's middle exactly.
 * @param {Pixels} image
 * @param {number} x
 * @param {number} y
 */
function sharpestSeed(image, x, y) {
  const { width, height } = image;
  let best = { place: 0, spread: Infinity };
  for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row += 1) {
    for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column += 1) {
      const place = row * width + column;
      const colour = colourAt(image, place);
      const around = neighbours(place, width, height).map((other) => distance(colour, colourAt(image, other)));
      const spread = Math.max(...around) + Math.hypot(column - x, row - y);
      if (spread < best.spread) best = { place, spread };
    }
  }
  return best.place;
}

/**
 * @param {number} place
 * @param {number} width
 * @param {number} height
 */
function neighbours(place, width, height) {
  const [x, y] = [place % width, Math.floor(place / width)];
  const places = [];
  if (x > 0) places.push(place - 1);
  if (x < width - 1) places.push(place + 1);
  if (y > 0) places.push(place - width);
  if (y < height - 1) places.push(place + width);
  return places;
}

/**
 * The connected pixels around a seed whose colour differs by `tolerance` at most.
 * @param {Pixels} image
 * @param {number} seed
 * @param {number} tolerance
 */
function flood(image, seed, tolerance) {
  const colour = colourAt(image, seed);
  return component(image, seed, new Uint8Array(image.width * image.height), (place) => distance(colour, colourAt(image, place)) <= tolerance);
}

/**
 * The connected pixels that belong, from one of them.
 * @param {Pixels} image
 * @param {number} seed
 * @param {Uint8Array} seen marks the pixels that were looked at
 * @param {(place: number) => boolean} belongs
 * @returns {Region}
 */
function component({ width, height }, seed, seen, belongs) {
  const places = [seed];
  seen[seed] = 1;
  const region = { places, left: width, top: height, right: 0, bottom: 0 };
  for (let next = 0; next < places.length; next += 1) {
    const place = Number(places[next]);
    const [x, y] = [place % width, Math.floor(place / width)];
    region.left = Math.min(region.left, x);
    region.right = Math.max(region.right, x);
    region.top = Math.min(region.top, y);
    region.bottom = Math.max(region.bottom, y);
    for (const other of neighbours(place, width, height)) {
      if (seen[other]) continue;
      seen[other] = belongs(other) ? 1 : 0;
      if (seen[other]) places.push(other);
    }
  }
  return region;
}

/**
 * How sharp the edge of a region is: the mean difference of colour across it, two pixels outwards, for antialiased edges.
 * @param {Pixels} image
 * @param {Region} region
 */
function edgeOf(image, region) {
  const { width, height } = image;
  const inside = new Set(region.places);
  let [sum, count] = [0, 0];
  for (const place of region.places) {
    const [x, y] = [place % width, Math.floor(place / width)];
    for (const [dx, dy] of /** @type {const} */ ([[1, 0], [-1, 0], [0, 1], [0, -1]])) {
      if (x + 2 * dx < 0 || x + 2 * dx >= width || y + 2 * dy < 0 || y + 2 * dy >= height) continue;
      const near = place + dx + dy * width;
      if (inside.has(near)) continue;
      sum += distance(colourAt(image, place), colourAt(image, near + dx + dy * width));
      count += 1;
    }
  }
  return count ? sum / count : 0;
}

/**
 * The region and others of its colour, one next to the other: the letters of a word.
 * @param {Pixels} image
 * @param {Region} first
 * @param {number} tolerance
 * @param {number} edge of the first region
 */
function alike(image, first, tolerance, edge) {
  const { width, height } = image;
  const colour = meanColour(image, first);
  const seen = new Uint8Array(width * height);
  for (const place of first.places) seen[place] = 1;
  const joined = [first];
  const letter = first.bottom - first.top + 1;
  const reach = Math.ceil(REACH * Math.min(letter, 0.25 * height));
  const belongs = (/** @type {number} */ place) => distance(colour, colourAt(image, place)) <= tolerance;
  for (let next = 0; next < joined.length; next += 1) {
    const { left, top, right, bottom } = /** @type {Region} */ (joined[next]);
    const across = [Math.max(0, left - reach), Math.min(width - 1, right + reach)];
    const down = [Math.max(0, top - reach), Math.min(height - 1, bottom + reach)];
    for (let y = Number(down[0]); y <= Number(down[1]); y += 1) {
      for (let x = Number(across[0]); x <= Number(across[1]); x += 1) {
        const place = y * width + x;
        if (seen[place] || !belongs(place)) continue;
        const region = component(image, place, seen, belongs);
        const tall = region.bottom - region.top + 1;
        const fits = region.places.length >= LEAST_PIXELS && tall <= 3 * letter && region.places.length <= 12 * Math.max(40, first.places.length);
        if (fits && edgeOf(image, region) >= 0.6 * edge) joined.push(region);
      }
    }
  }
  return joined;
}

/**
 * @param {Pixels} image
 * @param {Region} region
 * @returns {Colour}
 */
function meanColour(image, { places }) {
  /** @type {Colour} */
  const sum = [0, 0, 0];
  for (const place of places) {
    const colour = colourAt(image, place);
    sum[0] += colour[0];
    sum[1] += colour[1];
    sum[2] += colour[2];
  }
  return [sum[0] / places.length, sum[1] / places.length, sum[2] / places.length];
}

/**
 * The median colour of the pixels whose difference is over a threshold.
 * @param {Pixels} image
 * @param {Uint8Array} differences
 * @param {number} threshold
 * @returns {Colour}
 */
function medianColour(image, differences, threshold) {
  /** @type {[number[], number[], number[]]} */
  const channels = [[], [], []];
  differences.forEach((difference, place) => {
    if (difference <= threshold) return;
    colourAt(image, place).forEach((value, channel) => channels[channel]?.push(value));
  });
  const [red, green, blue] = channels.map((values) => values.sort((one, other) => one - other)[values.length >> 1]);
  return [red ?? 0, green ?? 0, blue ?? 0];
}

/**
 * A mask with the antialiased pixels at its edge that are nearer to the mark than to what lies behind it.
 * @param {Pixels} image
 * @param {Uint8Array} mask
 */
function withEdge(image, mask) {
  const { width, height } = image;
  const grown = mask.slice();
  mask.forEach((value, place) => {
    if (!value) return;
    const inner = colourAt(image, place);
    const [x, y] = [place % width, Math.floor(place / width)];
    for (const [dx, dy] of /** @type {const} */ ([[1, 0], [-1, 0], [0, 1], [0, -1]])) {
      if (x + 2 * dx < 0 || x + 2 * dx >= width || y + 2 * dy < 0 || y + 2 * dy >= height) continue;
      const near = place + dx + dy * width;
      const far = near + dx + dy * width;
      if (mask[near] || mask[far]) continue;
      const middle = colourAt(image, near);
      if (distance(middle, inner) <= distance(middle, colourAt(image, far))) grown[near] = 1;
    }
  });
  return grown;
}

/**
 * The picture without what lies under a stroke: interpolated from around it, from coarse to fine (push and pull, Gortler
 * et al. 1996). Red, green and blue of each pixel.
 * @param {Pixels} image
 * @param {Uint8Array} hole
 */
function interpolated(image, hole) {
  const { width, height } = image;
  const values = new Float32Array(3 * width * height);
  const weights = new Float32Array(width * height);
  for (let place = 0; place < weights.length; place += 1) {
    if (hole[place]) continue;
    weights[place] = 1;
    values.set(colourAt(image, place), 3 * place);
  }
  return pushPull(values, weights, width, height);
}

/**
 * @param {Float32Array} values three of each pixel, times its weight
 * @param {Float32Array} weights
 * @param {number} width
 * @param {number} height
 * @returns {Float32Array}
 */
function pushPull(values, weights, width, height) {
  if (weights.every((weight) => weight >= 1) || (width === 1 && height === 1)) return values.map((value, at) => value / (Number(weights[Math.floor(at / 3)]) || 1));
  const [half, low] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const coarse = new Float32Array(3 * half * low);
  const coarseWeights = new Float32Array(half * low);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [place, parent] = [y * width + x, (y >> 1) * half + (x >> 1)];
      coarseWeights[parent] = Number(coarseWeights[parent]) + Number(weights[place]);
      for (let channel = 0; channel < 3; channel += 1) {
        coarse[3 * parent + channel] = Number(coarse[3 * parent + channel]) + Number(values[3 * place + channel]);
      }
    }
  }
  coarseWeights.forEach((weight, parent) => {
    if (weight <= 1) return;
    for (let channel = 0; channel < 3; channel += 1) coarse[3 * parent + channel] = Number(coarse[3 * parent + channel]) / weight;
    coarseWeights[parent] = 1;
  });
  const filled = pushPull(coarse, coarseWeights, half, low);
  const whole = new Float32Array(3 * width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const place = y * width + x;
      const weight = Number(weights[place]);
      for (let channel = 0; channel < 3; channel += 1) {
        const behind = weight < 1 ? bilinear(filled, half, low, (x - 0.5) / 2, (y - 0.5) / 2, channel) : 0;
        whole[3 * place + channel] = Number(values[3 * place + channel]) + (1 - Math.min(1, weight)) * behind;
      }
    }
  }
  return whole;
}

/**
 * @param {Float32Array} values
 * @param {number} width
 * @param {number} height
 * @param {number} x
 * @param {number} y
 * @param {number} channel
 */
function bilinear(values, width, height, x, y, channel) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const at = (/** @type {number} */ column, /** @type {number} */ row) => {
    const place = Math.max(0, Math.min(height - 1, row)) * width + Math.max(0, Math.min(width - 1, column));
    return Number(values[3 * place + channel]);
  };
  const [right, down] = [x - left, y - top];
  return (1 - down) * ((1 - right) * at(left, top) + right * at(left + 1, top)) + down * ((1 - right) * at(left, top + 1) + right * at(left + 1, top + 1));
}

/**
 * @param {Pixels} image
 * @param {Float32Array} behind
 * @param {Uint8Array} stroke
 */
function differencesFrom(image, behind, stroke) {
  return stroke.map((marked, place) => {
    if (!marked) return 0;
    const background = /** @type {Colour} */ ([Number(behind[3 * place]), Number(behind[3 * place + 1]), Number(behind[3 * place + 2])]);
    return Math.min(255, distance(colourAt(image, place), background));
  });
}

/**
 * Otsu's threshold of the values under a stroke.
 * @param {Uint8Array} values
 * @param {Uint8Array} stroke
 */
function otsu(values, stroke) {
  const counts = new Float64Array(256);
  values.forEach((value, place) => {
    if (stroke[place]) counts[value] = Number(counts[value]) + 1;
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const whole = counts.reduce((sum, count, value) => sum + count * value, 0);
  let [below, sumBelow, best, threshold] = [0, 0, -1, 255];
  counts.forEach((count, value) => {
    below += count;
    sumBelow += count * value;
    const above = total - below;
    if (!below || !above) return;
    const between = below * above * (sumBelow / below - (whole - sumBelow) / above) ** 2;
    if (between > best) [best, threshold] = [between, value];
  });
  return Math.max(LEAST_EDGE, threshold);
}
