// A catalogue's files as they come in: chosen, dropped, a folder with all below it, or a ZIP, which is read where it lies.
//
// A file is {path, size, modified, open()}: open() gives its bytes as a Blob when they are wanted, and not before.

import { pictureType } from "./picture-types.js";

const HIDDEN = /(^|\/)(\.|__MACOSX\/)/;
const LIBRARY = new URL("../../vendor/zip-core.min.js", import.meta.url);

/** `{files, leftOut}` of an input's files: pictures by their names, and how many others there were. */
export async function ofInput(list) {
  return sorted((await Promise.all([...list].map((file) => unpacked(file, file.webkitRelativePath || file.name)))).flat());
}

/** The same of what was dropped, folders with all that is in them. */
export async function ofDrop(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  return sorted((await Promise.all(entries.map((entry) => (entry instanceof File ? unpacked(entry, entry.name) : below(entry))))).flat());
}

function sorted(all) {
  const seen = all.filter(({ path }) => !HIDDEN.test(path));
  const files = seen.filter(({ path }) => pictureType(path));
  files.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  return { files, leftOut: seen.length - files.length };
}

async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return unpacked(file, entry.fullPath.replace(/^\//, ""));
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A reader gives a hundred at a time, and nothing at its end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const one of some) found.push(...(await below(one)));
  }
}

async function unpacked(file, path) {
  if (!/\.zip$/i.test(path)) return [{ path, size: file.size, modified: file.lastModified, open: async () => file }];
  await import(LIBRARY);
  const { zip } = globalThis;
  zip.configure({ useWebWorkers: false });
  const entries = await new zip.ZipReader(new zip.BlobReader(file)).getEntries();
  return entries.filter((entry) => !entry.directory).map((entry) => ({
    path: entry.filename,
    size: entry.uncompressedSize,
    modified: entry.lastModDate.getTime(),
    open: () => entry.getData(new zip.BlobWriter()),
  }));
}
