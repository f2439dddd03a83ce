// SPDX-License-Identifier: Apache-2.0
// Reads JSON lines {secret, headers, body (base64)}. For each it prints true or false: whether the
// reference implementation of Standard Webhooks accepts the delivery. The argument is the directory
// where `npm ci` has installed the packages.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "package.json"));
const { Webhook } = require("standardwebhooks");

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  let verified = true;
  try {
    new Webhook(secret).verify(Buffer.from(body, "base64").toString("utf8"), headers);
  } catch (error) {
    verified = false;
    console.error(error.message);
  }
  console.log(verified);
}
