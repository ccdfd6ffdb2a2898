import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../page.js";

openPage("", { language: "zh-CN", texts: { Stop: "停止", "Save the mask smaller.": "请缩小蒙版。", "Wait a moment, then try again.": "请稍候再试。", "1 picture": ["{count} 张图片"] } });
const { n, number, t } = await import("../../../api/static/web/words/texts.js");
const { sentenceOf } = await import("../../../api/static/web/words/reasons.js");
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

test("the service's English sentence gives way to what helps by its code, or to nothing", () => {
  assert.equal(sentenceOf({ code: "mask_too_large", detail: "The mask has 9 MB." }), "请缩小蒙版。");
  assert.equal(sentenceOf({ code: "rate_limited", detail: "Wait for 3 s." }), "请稍候再试。");
  assert.equal(sentenceOf({ code: "brand_new", detail: "It broke." }), "");
});
