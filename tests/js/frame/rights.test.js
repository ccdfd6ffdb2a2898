import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

const page = openPage();
Object.defineProperty(globalThis, "localStorage", { value: page.localStorage, configurable: true });
const { statement } = await import("../../../api/static/web/frame/rights.js");

const KEY = "cleanplate.rights";
const made = { rights_basis: "owner", attested_by: "Jo Doe", rights_reference: "own photographs" };

test("a kept statement counts, and one of an older page does not", () => {
  localStorage.setItem(KEY, JSON.stringify(made));
  assert.deepEqual(statement(), made);
  for (const kept of ["", "{", "null", "[]", '"owner"', JSON.stringify({ ...made, attested_by: "" }), JSON.stringify({ rights_basis: "owner" })]) {
    localStorage.setItem(KEY, kept);
    assert.equal(statement(), null, kept);
  }
});
