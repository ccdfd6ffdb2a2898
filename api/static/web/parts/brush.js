// The slider of the brush's size. It is logarithmic and a share of the picture: one stroke looks alike in every zoom.

const LEAST = 2; // CSS pixels on a stage of 1,000
const MOST = 600;
const STEPS_PER_FACTOR = 18;

/**
 * The brush's size in pixels of a picture.
 * @param {number} value of the slider, 0 to 100
 * @param {{ width: number, height: number }} picture
 */
export function brushSize(value, picture) {
  const onStage = LEAST * (MOST / LEAST) ** (value / 100);
  return Math.max(1, (onStage * Math.max(picture.width, picture.height)) / 1000);
}

/**
 * The slider's value for a brush that is `factor` times as large.
 * @param {number} value
 * @param {number} factor
 */
export function resizedValue(value, factor) {
  return Math.max(0, Math.min(100, value + Math.log(factor) * STEPS_PER_FACTOR));
}
