/** --connections-per-address over several workers: the sum limits an address, also after deaths of workers and of the hub. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { type Attempt, attempt, outcomes } from "../support/attempts.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const LIMIT = 10;
const GREEDY = { localAddress: "127.0.0.77" };
const MODEST = { localAddress: "127.0.0.78" };

/** Workers report to the hub ten times a second, and the hub reports back at once. */
const KNOWN_MS = 250;
const untilKnown = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, KNOWN_MS));

it("an address has at most its limit over four workers, while another one is admitted", async () => {
  const options = ["--workers", "4", "--connections-per-address", String(LIMIT)];
  await using gateway = await Gateway.start(...options);
  const inside: Attempt[] = [];
  const tryOne = async (): Promise<string> => {
    const one = await attempt(gateway.port, GREEDY);
    if (one.outcome === "101") inside.push(one);
    else one.end();
    return one.outcome;
  };
  for (let n = 0; n < LIMIT; n++) {
    assert.equal(await tryOne(), "101", "never refused below the limit");
    if (n >= LIMIT - 2) await untilKnown();
  }
  const more = await Promise.all(Array.from({ length: 60 }, () => attempt(gateway.port, GREEDY)));
  assert.deepEqual(outcomes(more), { "429": 60 });
  assert.ok(more.every(({ retryAfter }) => retryAfter));
  assert.equal((await attempt(gateway.port, MODEST)).outcome, "101");

  inside.pop()!.end();
  await until("a connection that ends makes way for another", tryOne, (outcome) => outcome === "101");
  await untilKnown();
  assert.equal(await tryOne(), "429");

  const rows = await gateway.processes();
  process.kill(rows.find(({ role }) => role === "hub")!.pid, "SIGKILL");
  const ready = () => gateway.status("/readyz").catch(() => 0);
  await until("the hub is back", ready, (status) => status === 200, 20_000);
  await untilKnown();
  const after = await Promise.all(Array.from({ length: 20 }, () => attempt(gateway.port, GREEDY)));
  assert.deepEqual(outcomes(after), { "429": 20 }, "a new hub learns them again");

  const connections = (): Promise<number> => gateway.metric("megagate_connections");
  await until("counted", connections, (n) => n === LIMIT + 1);
  const worker = (await gateway.processes()).find((row) => row.role === "worker" && (row.connections ?? 0) > 0)!;
  process.kill(worker.pid, "SIGKILL");
  await until("a dead worker gives its addresses back", tryOne, (outcome) => outcome === "101");
  for (const one of [...inside, ...more]) one.end();
});

it("a burst before the hub has reported reaches at most the workers' shares, and later clients are refused", async () => {
  await using gateway = await Gateway.start("--workers", "4", "--connections-per-address", "100");
  const burst = await Promise.all(Array.from({ length: 600 }, () => attempt(gateway.port, GREEDY)));
  const inside = outcomes(burst)["101"] ?? 0;
  // Each takes 100/4 + 5 √(100/4) = 50 at most.
  assert.ok(inside >= 100 && inside <= 200, String(inside));
  await untilKnown();
  const late = await Promise.all(Array.from({ length: 50 }, () => attempt(gateway.port, GREEDY)));
  assert.deepEqual(outcomes(late), { "429": 50 });
  for (const one of burst) one.end();
});
