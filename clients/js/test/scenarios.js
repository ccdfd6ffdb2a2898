// What a shop does with the client, for Node and browsers alike. A scenario throws if the client does not do as it must.

import { Cleanplate, CleanplateError, verifyWebhook } from "../cleanplate.js";

const rights = /** @type {const} */ ({ rights_basis: "owner", attested_by: "Jo Doe", rights_reference: "own photographs" });

/**
 * @param {unknown} seen
 * @param {unknown} wanted
 */
function equal(seen, wanted) {
  const [left, right] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}

/**
 * @param {Promise<unknown>} call
 * @param {(error: unknown) => boolean} [isRight]
 */
async function refused(call, isRight = () => true) {
  const error = await call.then(() => undefined, (/** @type {unknown} */ thrown) => thrown);
  if (error === undefined) throw new Error("A call that must be refused succeeded.");
  if (!isRight(error)) throw error;
}

/**
 * Pictures are uploaded, cleaned, followed, fetched and done again. Somebody works on the jobs meanwhile.
 * @param {{ url: string, apiKey: string, label: string }} service
 */
export async function cleansPictures({ url, apiKey, label }) {
  const client = new Cleanplate({ url: `${url}/`, apiKey });
  const picture = new Blob(["a picture"], { type: "image/png" });
  const [mask, first, second] = await Promise.all(["mask.png", "a.png", "b.png"].map((name) => client.upload(picture, name)));
  const images = [first, second].map((id, n) => ({ upload_id: id ?? "", path: `w/s/${n}.png`, custom_id: `sku-${n}` }));
  const wanted = { images, mask_upload_id: mask ?? "", name: "By JavaScript", labels: [label], ...rights };
  const job = await client.submit(wanted, { idempotencyKey: label });
  equal((await client.submit(wanted, { idempotencyKey: label })).id, job.id);
  const states = [];
  for await (const state of client.follow(job.id)) states.push(state.state);
  equal(states.at(-1), "completed");

  const lines = [];
  for await (const line of client.results(job.id)) lines.push(line);
  equal(lines.map((line) => [line.custom_id, line.path]), [["sku-0", "w/s/0.png"], ["sku-1", "w/s/1.png"]]);
  const file = await client.download(lines[0]?.image_id ?? "");
  equal(await sha256(file), lines[0]?.sha256);
  const whole = new Uint8Array(await (await client.archive(job.id)).arrayBuffer());
  const rest = new Uint8Array(await (await client.archive(job.id, { from: 100 })).arrayBuffer());
  equal([...rest], [...whole.subarray(100)]);

  const listed = [];
  for await (const one of client.jobs({ label })) listed.push(one.id);
  equal(listed, [job.id]);
  await client.review(lines[1]?.image_id ?? "", "rejected", "The collar.");
  const child = await client.redo(job.id);
  equal(child.parent_job_id, job.id);
  equal((await client.wait(child.id)).state, "completed");
  await client.delete(child.id);
  await refused(client.job(child.id), (error) => error instanceof CleanplateError && error.code === "not_found");
  const wrong = client.submit({ ...wanted, images: [{ upload_id: "upl_0" }] });
  await refused(wrong, (error) => error instanceof CleanplateError && error.errors[0]?.pointer === "#/images/0/upload_id");
}

/** @param {Blob} file */
async function sha256(file) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const SECRET = `whsec_${btoa("k".repeat(32))}`;
const BODY = JSON.stringify({ type: "job.completed", data: { id: "job_1" } });
const NOW = new Date("2026-05-01T12:00:00Z");

/** @param {{ key?: string, body?: string, seconds?: number, before?: string }} [change] */
async function headers({ key = "k".repeat(32), body = BODY, seconds = 0, before = "" } = {}) {
  const time = String(NOW.getTime() / 1000 + seconds);
  const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text);
  const secret = await crypto.subtle.importKey("raw", bytes(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signed = new Uint8Array(await crypto.subtle.sign("HMAC", secret, bytes(`evt_1.${time}.${body}`)));
  const signature = btoa(String.fromCharCode(...signed));
  return { "webhook-id": "evt_1", "webhook-timestamp": time, "webhook-signature": `${before}v1,${signature}` };
}

/** A signed post is taken, also by the second of two secrets; one that is forged, changed, old or not signed is not. */
export async function verifiesPosts() {
  for (const before of ["", `v1,${btoa("other")} `]) {
    const event = await verifyWebhook(SECRET, BODY, await headers({ before }), { now: NOW });
    equal(event.type, "job.completed");
  }
  await verifyWebhook(SECRET, BODY, new Headers(await headers()), { now: NOW });
  const posts = [
    await headers({ key: "another key" }),
    await headers({ body: `${BODY} ` }),
    await headers({ seconds: -301 }),
    await headers({ seconds: 301 }),
    { ...(await headers()), "webhook-signature": "" },
    { ...(await headers()), "webhook-id": "" },
    {},
  ];
  for (const post of posts) await refused(verifyWebhook(SECRET, BODY, post, { now: NOW }));
}
