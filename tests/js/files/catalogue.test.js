import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage("", { pictureTypes: { ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff", ".webp": "image/webp" } });
const { catalogueOf, catalogueOfFiles } = await import("../../../api/static/web/files/catalogue.js");
const { typeOf } = await import("../../../api/static/web/files/upload.js");

/** @param {string} path */
function file(path) {
  return { path, size: 1, modified: 1, open: () => Promise.resolve(new Blob()) };
}

test("pictures are in the order in which people count", () => {
  const { files } = catalogueOf([[file("b/10.jpg"), file("b/9.jpg")], [file("a.png")]]);
  assert.deepEqual(files.map(({ path }) => path), ["a.png", "b/9.jpg", "b/10.jpg"]);
});

test("other files are counted, hidden ones are not", () => {
  const { files, leftOut } = catalogueOf([[file("a.JPEG"), file("notes.txt"), file(".DS_Store"), file("__MACOSX/a.jpg"), file("x/.thumb.jpg")]]);
  assert.deepEqual([files.length, leftOut], [1, 1]);
});

test("a chosen file keeps its bytes for later", async () => {
  const chosen = new File(["pixels"], "shirt.webp", { lastModified: 7 });
  const { files } = await catalogueOfFiles([chosen]);
  assert.deepEqual(files.map(({ path, size, modified }) => [path, size, modified]), [["shirt.webp", 6, 7]]);
  assert.equal(await files[0]?.open(), chosen);
});

test("the media type comes from the name, then from the browser", () => {
  assert.equal(typeOf("a.b/Shirt.TIF", { type: "" }), "image/tiff");
  assert.equal(typeOf("shirt", { type: "image/png" }), "image/png");
  assert.equal(typeOf("mask.json", { type: "" }), "application/json");
  assert.equal(typeOf("shirt.unknown", { type: "" }), "application/octet-stream");
});
