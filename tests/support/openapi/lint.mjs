// SPDX-License-Identifier: Apache-2.0
// Checks an OpenAPI document with the rules of Redocly, which are not ours. The arguments are the
// directory where `npm ci` has installed the packages, and the document. Exit code 1: it finds
// something.
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "package.json"));
const { createConfig, lint } = require("@redocly/openapi-core");

const config = await createConfig({
  extends: ["recommended-strict"],
  rules: {
    "operation-4xx-response": "off", // /livez and /readyz have none
    "no-unused-components": "error",
    "operation-operationId-unique": "error",
    "no-schema-type-mismatch": "error",
    "tag-description": "error",
  },
});
const problems = await lint({ ref: resolve(process.argv[3]), config });
for (const { severity, ruleId, message, location } of problems)
  console.log(`${severity}: ${ruleId}: ${message} (${location[0]?.pointer})`);
console.log(`${problems.length} findings`);
process.exit(problems.length ? 1 : 0);
