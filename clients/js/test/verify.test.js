// Posts of webhooks: what is signed is taken, anything else is not.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { verifyWebhook } from "../cleanplate.js";

const KEY = Buffer.from("k".repeat(32));
const SECRET = `whsec_${KEY.toString("base64")}`;
const BODY = JSON.stringify({ type: "job.completed", data: { id: "job_1" } });
const NOW = new Date("2026-05-01T12:00:00Z");

/** @param {{ key?: Buffer, body?: string, seconds?: number, before?: string }} [change] */
function headers({ key = KEY, body = BODY, seconds = 0, before = "" } = {}) {
  const time = String(NOW.getTime() / 1000 + seconds);
  const signature = createHmac("sha256", key).update(`evt_1.${time}.${body}`).digest("base64");
  return { "webhook-id": "evt_1", "webhook-timestamp": time, "webhook-signature": `${before}v1,${signature}` };
}

test("a signed post is taken, also by the second of two secrets", async () => {
  for (const before of ["", `v1,${Buffer.from("other").toString("base64")} `]) {
    const event = await verifyWebhook(SECRET, BODY, headers({ before }), { now: NOW });
    assert.equal(event.type, "job.completed");
  }
  await verifyWebhook(SECRET, BODY, new Headers(headers()), { now: NOW });
});

test("a post that is forged, changed, old or not signed is refused", async () => {
  const posts = [
    headers({ key: Buffer.from("another key") }),
    headers({ body: `${BODY} ` }),
    headers({ seconds: -301 }),
    headers({ seconds: 301 }),
    { ...headers(), "webhook-signature": "" },
    { ...headers(), "webhook-id": "" },
    {},
  ];
  for (const post of posts) await assert.rejects(verifyWebhook(SECRET, BODY, post, { now: NOW }));
});
