// The formats of pictures that the service reads: the page carries them, from the server's one table.

const element = globalThis.document?.getElementById("picture-types");

/** @type {Partial<Record<string, string>>} Media types by the ends of names, in lower case and with their dot. */
const TYPES = element ? JSON.parse(element.textContent ?? "") : {};

/**
 * The media type that a picture's name claims; `undefined` for names of anything else.
 * @param {string} name
 */
export function pictureType(name) {
  return TYPES[/\.[^./]*$/.exec(name)?.[0].toLowerCase() ?? ""];
}
