// The formats of pictures that the service reads. The page carries them, from the server's one table.

import { parseJson } from "../net/json.js";

const carrier = document.getElementById("picture-types");
/** Media types by the endings of names, in lower case and with their dot. */
const types = new Map(Object.entries(/** @type {Record<string, string>} */ (carrier ? parseJson(carrier.textContent) : {})));

/**
 * The media type that a picture's name claims; undefined for names of anything else.
 * @param {string} name
 */
export function pictureType(name) {
  const ending = /\.[^./]*$/.exec(name)?.[0].toLowerCase() ?? "";
  return types.get(ending);
}
