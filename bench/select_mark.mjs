// Runs the page's selection once, for bench/select_mark.py: its argument is a JSON object with files and the click.

import { readFileSync, writeFileSync } from "node:fs";
import { selectAt, selectUnder } from "../api/static/web/picture/selecting.js";

const { pixels, mask, width, height, click, stroke } = JSON.parse(process.argv[2]);
const image = { pixels: new Uint8ClampedArray(readFileSync(pixels)), width, height };
writeFileSync(mask, stroke ? selectUnder(image, new Uint8Array(readFileSync(stroke))) : selectAt(image, ...click));
