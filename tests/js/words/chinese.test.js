import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage("", { language: "zh-CN", texts: { Stop: "停止", "1 picture": ["{count} 张图片"] } });
const { n, number, t } = await import("../../../api/static/web/words/texts.js");
const { showState } = await import("../../../api/static/web/words/states.js");

test("a translated text replaces the English one; others stay", () => {
  assert.equal(t("Stop"), "停止");
  assert.equal(t("Go on"), "Go on");
});

test("a language with one plural form uses it for every count", () => {
  assert.equal(n("1 picture", "{count} pictures", 1), "1 张图片");
  assert.equal(n("1 picture", "{count} pictures", 5), "5 张图片");
  assert.equal(number(10_000), "10,000");
});

test("a state without a translation is shown in English", () => {
  const place = document.createElement("div");
  showState(place, "needs_review");
  assert.equal(place.textContent, "to be approved");
});
