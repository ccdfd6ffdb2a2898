// The scenarios in Node; CLEANPLATE_URL and CLEANPLATE_API_KEY name a running service.

import { test } from "node:test";

import { cleansPictures, verifiesPosts } from "./scenarios.js";

const { CLEANPLATE_URL: url = "", CLEANPLATE_API_KEY: apiKey = "" } = process.env;

test("pictures are uploaded, cleaned, followed, fetched and done again", { skip: !url && "no service" }, () =>
  cleansPictures({ url, apiKey, label: "node" }));

test("a signed post is taken, and any other refused", verifiesPosts);
