// SPDX-License-Identifier: Apache-2.0
// Posts events to Penstock over HTTP/2, until each has an answer that counts.
//
//     URL=http://127.0.0.1:8080 KEY=pk_... node post.mjs < events.jsonl
//     ... node post.mjs --batch < events.jsonl          # Node.js 18 or later, no packages
//
// Each line is one event. It must have an id that was made once and is stored with it: then you can
// run this again with the same file at any time, also after a crash. What is stored already is a
// duplicate. Exit code 1: an event was rejected, and must be changed.
import { readFileSync } from "node:fs";
import { connect, constants } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

const { URL: url, KEY: key } = process.env;
const ANSWER_MS_MAX = 10_000; // the gateway answers within 3 s
const WAIT_SECONDS_MAX = 60;
const AT_ONCE = 16; // posts at the same time, on one connection
const BATCH_EVENTS_MAX = 1000;
const BATCH_BYTES_MAX = 1 << 20;

// One connection for all posts. When it is lost or the gateway ends it (GOAWAY), the next post
// makes a new one. https:// is negotiated (ALPN), http:// uses prior knowledge.
let connection;
function session() {
  if (!connection || connection.closed || connection.destroyed) {
    connection = connect(url);
    connection.on("error", () => {}); // each post on it fails, and is repeated
  }
  return connection;
}

// Resolves to the status, the seconds in Retry-After, and the answer. Status 0: there is no answer.
function postOnce(path, type, body) {
  return new Promise((resolve) => {
    const noAnswer = () => resolve({ status: 0, retryAfter: 0, answer: "" });
    const chunks = [];
    let headers = {};
    const stream = session().request({
      ":method": "POST", ":path": path, authorization: `Bearer ${key}`, "content-type": type,
    });
    stream.setTimeout(ANSWER_MS_MAX, () => stream.session?.destroy()); // it may be dead
    stream.on("response", (received) => { headers = received; });
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("error", noAnswer);
    stream.on("close", () => {
      if (!stream.readableEnded || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return noAnswer();
      resolve({
        status: headers[":status"] ?? 0,
        retryAfter: Number(headers["retry-after"] ?? 0),
        answer: Buffer.concat(chunks).toString().trim(),
      });
    });
    stream.end(body);
  });
}

// Posts the same bytes until the answer counts.
//
// 200: the event is durable. 4xx: change it first. Without an answer, and after 429 and 5xx, it is
// unknown or known not to be stored: post it again, with the same id.
async function post(path, type, body) {
  for (let wait = 1; ; wait = Math.min(2 * wait, WAIT_SECONDS_MAX)) {
    const { status, retryAfter, answer } = await postOnce(path, type, body);
    if (status >= 200 && status < 500 && status !== 429) return { status, answer };
    const seconds = Math.max(retryAfter, wait * (0.8 + 0.4 * Math.random()));
    console.error(`${status || "no answer"}: again in ${seconds.toFixed(1)} s`);
    await sleep(seconds * 1000);
  }
}

// Resolves to whether the event is durable.
async function postOne(event) {
  const { status, answer } = await post("/v1/events", "application/json", event);
  console.log(answer);
  return status === 200;
}

// Posts up to 1000 events and 1 MiB at once. Resolves to whether all of them are durable.
async function postBatch(events) {
  let allDurable = true;
  while (events.length > 0) {
    const { status, answer } =
      await post("/v1/events/batch", "application/x-ndjson", events.join("\n"));
    if (status !== 200) { // the whole batch was rejected: for example the key is wrong
      console.log(answer);
      return false;
    }
    const { results } = JSON.parse(answer);
    const isTemporary = (result) => result.status === 429 || result.status === 503;
    for (const result of results.filter((result) => !isTemporary(result))) {
      allDurable &&= result.status === 200;
      console.log(JSON.stringify(result));
    }
    events = events.filter((_, index) => isTemporary(results[index]));
    if (events.length > 0) {
      console.error(`${events.length} events again in 5 s`);
      await sleep(5000);
    }
  }
  return allDurable;
}

function batches(events) {
  const all = [];
  let batch = [], bytes = 0;
  for (const event of events) {
    const more = Buffer.byteLength(event) + 1;
    if (batch.length === 0 || batch.length === BATCH_EVENTS_MAX || bytes + more > BATCH_BYTES_MAX) {
      all.push(batch = []);
      bytes = 0;
    }
    batch.push(event);
    bytes += more;
  }
  return all;
}

const events = readFileSync(0, "utf8").split("\n").map((line) => line.trim()).filter(Boolean);
const isBatch = process.argv[2] === "--batch";
const work = isBatch ? batches(events) : events;
let next = 0;
async function worker() {
  while (next < work.length) {
    const item = work[next++];
    if (!await (isBatch ? postBatch(item) : postOne(item))) process.exitCode = 1;
  }
}
await Promise.all(Array.from({ length: isBatch ? 1 : AT_ONCE }, worker));
connection?.close();
