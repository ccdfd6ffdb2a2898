// The client against a running service: CLEANPLATE_URL and CLEANPLATE_API_KEY name it. Whoever runs the test works on the
// jobs meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Cleanplate, CleanplateError } from "../cleanplate.js";

const { CLEANPLATE_URL: url = "", CLEANPLATE_API_KEY: apiKey = "" } = process.env;
const rights = /** @type {const} */ ({ rights_basis: "owner", attested_by: "Jo Doe", rights_reference: "own photographs" });

test("pictures are uploaded, cleaned, followed, fetched and done again", { skip: !url && "no service" }, async () => {
  const client = new Cleanplate({ url: `${url}/`, apiKey });
  const picture = new Blob(["a picture"], { type: "image/png" });
  const [mask, first, second] = await Promise.all(["mask.png", "a.png", "b.png"].map((name) => client.upload(picture, name)));
  const images = [first, second].map((id, n) => ({ upload_id: id ?? "", path: `w/s/${n}.png`, custom_id: `sku-${n}` }));
  const wanted = { images, mask_upload_id: mask ?? "", name: "By JavaScript", labels: ["js"], ...rights };
  const [job, again] = await Promise.all([1, 2].map(() => client.submit(wanted, { idempotencyKey: "one" })));
  assert.ok(job && again);
  assert.equal(job.id, again.id);
  const states = [];
  for await (const state of client.follow(job.id)) states.push(state.state);
  assert.equal(states.at(-1), "completed");
  const lines = [];
  for await (const line of client.results(job.id)) lines.push(line);
  assert.deepEqual(lines.map((line) => [line.custom_id, line.path]), [["sku-0", "w/s/0.png"], ["sku-1", "w/s/1.png"]]);
  const file = await client.download(lines[0]?.image_id ?? "");
  assert.equal(file.size, lines[0]?.bytes ?? file.size);
  const whole = await (await client.archive(job.id)).arrayBuffer();
  const rest = await (await client.archive(job.id, { from: 100 })).arrayBuffer();
  assert.equal(rest.byteLength, whole.byteLength - 100);

  const listed = [];
  for await (const one of client.jobs({ label: "js" })) listed.push(one.id);
  assert.deepEqual(listed, [job.id]);
  await client.review(lines[1]?.image_id ?? "", "rejected", "The collar.");
  const child = await client.redo(job.id);
  assert.equal(child.parent_job_id, job.id);
  assert.equal((await client.wait(child.id)).state, "completed");
  await client.delete(child.id);
  await assert.rejects(client.job(child.id), (error) => error instanceof CleanplateError && error.code === "not_found");
  const wrong = client.submit({ ...wanted, images: [{ upload_id: "upl_0" }] });
  await assert.rejects(wrong, (error) => error instanceof CleanplateError && error.errors[0]?.pointer === "#/images/0/upload_id");
});
