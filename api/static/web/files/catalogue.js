// A catalogue's files as they come in: chosen, dropped, a folder with all below it, or a ZIP, which is read in place.

import { t } from "../words/texts.js";
import { pictureType } from "./picture-types.js";
import { Unusable } from "./unusable.js";

const HIDDEN = /(^|\/)(\.|__MACOSX\/)/;
const LIBRARY = new URL("../../vendor/zip-core.min.js", import.meta.url);

/**
 * A file of a catalogue; `modified` in milliseconds since 1970; `open` reads its bytes when they are needed.
 * @typedef {{ path: string, size: number, modified: number, open: () => Promise<Blob> }} CatalogueFile
 */
/** @typedef {{ files: CatalogueFile[], leftOut: number }} Catalogue the pictures, and the number of other files */
/**
 * The part of the vendored library zip.js that is used.
 * @typedef {{
 *   configure(options: { useWebWorkers: boolean }): void,
 *   ZipReader: new (reader: object) => { getEntries(): Promise<ZipEntry[]> },
 *   BlobReader: new (blob: Blob) => object,
 *   BlobWriter: new () => object,
 * }} ZipLibrary
 */
/**
 * @typedef {{
 *   directory: boolean,
 *   filename: string,
 *   uncompressedSize: number,
 *   lastModDate: Date,
 *   getData(writer: object): Promise<Blob>,
 * }} ZipEntry
 */

/**
 * The catalogue of chosen files; pictures are known by their names.
 * @param {Iterable<File>} chosen
 */
export async function catalogueOfFiles(chosen) {
  return catalogueOf(await Promise.all([...chosen].map((file) => unpack(file, file.webkitRelativePath || file.name))));
}

/**
 * The catalogue of dropped files and folders.
 * @param {DataTransfer} transfer
 */
export async function catalogueOfDrop(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Entries and files must be taken at once: the browser empties the transfer after the event.
  const entries = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile()).filter((entry) => entry !== null);
  return catalogueOf(await Promise.all(entries.map((entry) => (entry instanceof File ? unpack(entry, entry.name) : filesBelow(entry)))));
}

/**
 * @param {CatalogueFile[][]} parts
 * @returns {Catalogue}
 */
export function catalogueOf(parts) {
  const visible = parts.flat().filter(({ path }) => !HIDDEN.test(path));
  const files = visible.filter(({ path }) => pictureType(path));
  files.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  return { files, leftOut: visible.length - files.length };
}

/**
 * @param {FileSystemEntry} entry
 * @returns {Promise<CatalogueFile[]>}
 */
async function filesBelow(entry) {
  if (entry.isFile) {
    const file = await /** @type {Promise<File>} */ (new Promise((resolve, reject) => {
      /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject);
    }));
    return unpack(file, entry.fullPath.replace(/^\//, ""));
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  /** @type {CatalogueFile[]} */
  const files = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none at its end.
    const entries = await /** @type {Promise<FileSystemEntry[]>} */ (new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    }));
    if (!entries.length) return files;
    for (const child of entries) files.push(...(await filesBelow(child)));
  }
}

/**
 * The files in a ZIP, or the one file itself. Throws Unusable.
 * @param {File} file
 * @param {string} path
 * @returns {Promise<CatalogueFile[]>}
 */
async function unpack(file, path) {
  if (!/\.zip$/i.test(path)) return [{ path, size: file.size, modified: file.lastModified, open: () => Promise.resolve(file) }];
  await import(LIBRARY.href);
  const { zip } = /** @type {{ zip: ZipLibrary }} */ (/** @type {unknown} */ (globalThis));
  zip.configure({ useWebWorkers: false });
  const damaged = () => new Unusable(
    t("{name} cannot be unpacked", { name: path }),
    t("The ZIP is cut off, damaged or locked: make or download it again, or drop its folder instead."),
  );
  const entries = await new zip.ZipReader(new zip.BlobReader(file)).getEntries().catch((/** @type {unknown} */ error) => {
    console.warn(error);
    throw damaged();
  });
  return entries.filter((entry) => !entry.directory).map((entry) => ({
    path: entry.filename,
    size: entry.uncompressedSize,
    modified: entry.lastModDate.getTime(),
    open: () => entry.getData(new zip.BlobWriter()).catch((/** @type {unknown} */ error) => {
      console.warn(error);
      throw damaged();
    }),
  }));
}
