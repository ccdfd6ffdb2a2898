import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage();
const { bytes, duration, language, n, number, t } = await import("../../../api/static/web/words/texts.js");

test("a text without a translation stays English, with its places filled", () => {
  assert.equal(language, "en");
  assert.equal(t("{done} of {total}", { done: 0, total: "7" }), "0 of 7");
  assert.equal(t("{unknown} stays"), "{unknown} stays");
});

test("a value may hold what looks like a place", () => {
  assert.equal(t("{name} and {count}", { name: "{count}", count: 2 }), "{count} and 2");
});

test("one and many have forms of their own, with a grouped count", () => {
  assert.equal(n("1 picture", "{count} pictures", 1), "1 picture");
  assert.equal(n("1 picture", "{count} pictures", 0), "0 pictures");
  assert.equal(n("1 picture", "{count} pictures", 12345), "12,345 pictures");
});

test("numbers have no digits after the point unless they are asked for", () => {
  assert.equal(number(1234.56), "1,235");
  assert.equal(number(1234.56, 1), "1,234.6");
});

test("a duration is in the largest unit that fits, never zero", () => {
  assert.equal(duration(0), "1 second");
  assert.equal(duration(89), "89 seconds");
  assert.equal(duration(90), "2 minutes");
  assert.equal(duration(5399), "90 minutes");
  assert.equal(duration(7200), "2 hours");
});

test("a file's size is in kilobytes, megabytes or gigabytes", () => {
  assert.equal(bytes(0), "0 kB");
  assert.equal(bytes(120), "1 kB");
  assert.equal(bytes(2000), "2 kB");
  assert.equal(bytes(2_500_000), "2.5 MB");
  assert.equal(bytes(25_400_000), "25 MB");
  assert.equal(bytes(3e9), "3 GB");
});
