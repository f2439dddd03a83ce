// SPDX-License-Identifier: Apache-2.0
// Normal requests from Node: clients.mjs KIND, with the job as JSON on stdin: {url, key, path, media, body, count}. KIND: http1, http2 or fetch.
// Prints {answers: {status: count}, lost}.
import http from 'node:http';
import https from 'node:https';
import http2 from 'node:http2';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');
let text = '';
for await (const piece of process.stdin) text += piece;
const job = JSON.parse(text);
const body = Buffer.from(job.body);
const headers = { authorization: `Bearer ${job.key}`, 'content-type': job.media };
const answers = {};
let lost = 0;
const take = (status) => { answers[status] = (answers[status] ?? 0) + 1; };

// Runs `post` as often as is asked for, `width` at a time.
async function all(width, post) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next++ < job.count) await post().then(take, (error) => { lost++; if (lost < 4) console.error(String(error)); });
  }));
}

const kinds = {
  async http1() {
    const library = job.url.startsWith('https:') ? https : http;
    const agent = new library.Agent({ keepAlive: true, maxSockets: 16, rejectUnauthorized: false });
    await all(16, () => new Promise((resolve, reject) => {
      const request = library.request(job.url + job.path, { method: 'POST', agent, headers: { ...headers, 'content-length': body.length } }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode));
        answer.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    }));
    agent.destroy();
  },

  async http2() {
    const session = http2.connect(job.url, { rejectUnauthorized: false });
    session.on('error', (error) => console.error(String(error)));
    session.on('goaway', (code) => console.error(`GOAWAY ${code}`));
    await all(job.width ?? 100, () => new Promise((resolve, reject) => {
      let status = 0;
      const stream = session.request({ ':method': 'POST', ':path': job.path, ...headers });
      stream.on('response', (fields) => { status = fields[':status']; });
      stream.on('end', () => resolve(status));
      stream.on('error', reject);
      stream.on('close', () => reject(new Error('closed')));
      stream.resume();
      stream.end(body);
    }));
    session.close();
  },

  async fetch() {
    await all(16, async () => {
      const answer = await fetch(job.url + job.path, { method: 'POST', headers, body });
      await answer.arrayBuffer();
      return answer.status;
    });
  },
};

await kinds[process.argv[2]]();
console.log(JSON.stringify({ answers, lost }));
