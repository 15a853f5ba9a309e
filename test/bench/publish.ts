/**
 * `make bench`: publications a second through the admin port, one by one, by autocannon, with one subscriber that proves
 * that they arrive. Prints a line and ends; bounded in time. Not part of the tests: its figure depends on the machine.
 */
import autocannon from "autocannon";
import { Client } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const SECONDS = 10;

await using gateway = await Gateway.start("--workers", "1");
const client = await Client.open(`${gateway.url}?topics=bench`);
const result = await autocannon({
  url: `http://127.0.0.1:${gateway.adminPort}/publish`,
  method: "POST",
  body: JSON.stringify({ topic: "bench", data: { key: "8001", status: "talking" } }),
  connections: 16,
  duration: SECONDS,
});
const published = await gateway.metric("megagate_publications_total");
await until(
  "every publication arrives",
  () => client.messages.length,
  (count) => count === published + 1,
);
process.stdout.write(
  `publish one by one: ${Math.round(published / result.duration)} a second, p50 ${result.latency.p50} ms, ` +
    `p99 ${result.latency.p99} ms, ${result.non2xx} refused; all ${published} arrived\n`,
);
await client.end();
