// SPDX-License-Identifier: Apache-2.0
// Receives webhooks of Penstock: verifies each one, and stores each event once.
//
//     SECRETS=whsec_... node receive.mjs          # Node.js 18 or later, no packages
//
// SECRETS has the signing secret of the endpoint. During a rotation it has the old one and the new
// one, separated by a space. PORT and INBOX can be set as well. On the internet, put a server with
// TLS in front of it, such as nginx.
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { mkdirSync } from "node:fs";
import { link, open, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";

const SECRETS = (process.env.SECRETS ?? "").split(/\s+/).filter(Boolean)
  .map((text) => Buffer.from(text.replace(/^whsec_/, ""), "base64"));
if (SECRETS.length === 0 || SECRETS.some((secret) => secret.length === 0)) {
  throw new Error("SECRETS must have one or more whsec_... secrets");
}
const PORT = Number(process.env.PORT ?? 9000);
const INBOX = process.env.INBOX ?? "inbox";
const BODY_BYTES_MAX = 65536; // Penstock sends no more
const CLOCK_SECONDS_MAX = 300; // a request that is older is a replay, or one of the clocks is wrong

// Returns why a request is refused, or null. `body` is the raw bytes, as they were received.
function verify(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) return "webhook-id is missing or wrong";
  if (!/^[0-9]{1,12}$/.test(timestamp)) return "webhook-timestamp is missing or wrong";
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > CLOCK_SECONDS_MAX) {
    return "webhook-timestamp is more than 5 minutes off";
  }
  const signatures = (headers["webhook-signature"] ?? "").split(" ").map((s) => Buffer.from(s));
  for (const secret of SECRETS) {
    const mac = createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body);
    const expected = Buffer.from("v1," + mac.digest("base64"));
    const isRight = (s) => s.length === expected.length && timingSafeEqual(s, expected);
    if (signatures.some(isRight)) return null;
  }
  return "webhook-signature is missing or wrong";
}

// Stores the event durably, and returns whether it is new. A repeated one changes nothing.
//
// Node.js 18 has no database, so each event is a file whose name is the webhook-id. link() makes
// the name only if it does not exist: of two requests, in any process, one is the first. With
// a database this function is one transaction:
//
//     BEGIN;
//     INSERT INTO events (webhook_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING;
//     -- One row: the event is new. What else you change for it belongs here. No row: a duplicate.
//     COMMIT;
async function storeOnce(id, body) {
  const part = `${INBOX}/.${randomUUID()}`;
  let isNew = true;
  try {
    await writeFile(part, body, { flag: "wx" });
    await sync(part);
    await link(part, `${INBOX}/${id}.json`);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    isNew = false;
  } finally {
    await unlink(part).catch(() => {});
  }
  await sync(INBOX); // the name is durable now, also the one that another request made
  return isNew;
}

async function sync(path) {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function receive(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return [413, "the body is too large"];
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const id = request.headers["webhook-id"];
  const reason = verify(request.headers, body);
  if (reason) return [401, reason]; // Penstock shows the text to the operator
  if (request.headers["penstock-test"] === "true") return [200, `test ${id}`]; // of an operator
  try {
    return [200, `${(await storeOnce(id, body)) ? "stored" : "duplicate"} ${id}`];
  } catch (error) {
    console.error(error.message);
    return [503, "the event cannot be stored now"]; // it will be sent again
  }
}

mkdirSync(INBOX, { recursive: true });
createServer({ keepAliveTimeout: 75_000 }, async (request, response) => {
  try {
    const [status, text] = await receive(request);
    console.log(status, text);
    response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
  } catch {
    response.destroy(); // the sender left before the end of the body
  }
}).listen(PORT, "127.0.0.1");
