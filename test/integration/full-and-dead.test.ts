/** A worker dies while the others are at their caps: new clients get 503, and are not refused by the kernel. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { type Attempt, attempt, outcomes } from "../support/attempts.js";
import { Gateway } from "../support/gateway.js";
import { tunedNetwork } from "../support/tuned-network.js";
import { until } from "../support/wait.js";

const WORKERS = 3;
const CAP = 50;
/** From the death until the supervisor's message has reached the others: 2 to 6 ms on an idle machine; the rest is slack. */
const BLIND_MS = 250;

// Untuned, the kernel resets connections in the accept queue of a worker that stops listening.
const skip = tunedNetwork();

it("the other workers answer 503 as soon as the supervisor has seen the death, and admit clients when there is capacity", {
  skip,
}, async () => {
  await using gateway = await Gateway.start("--workers", String(WORKERS), "--worker-connections", String(CAP));
  const back: Promise<Attempt>[] = [];
  let isDead = false;
  const comeBack = (): void => {
    if (isDead) back.push(attempt(gateway.port));
  };
  const held: Attempt[] = [];
  while (held.length < WORKERS * CAP - 4) {
    const one = await attempt(gateway.port, { onEnd: comeBack });
    if (one.outcome === "101") held.push(one);
  }
  const rows = await until(
    "counted",
    () => gateway.processes(),
    (all) => all.reduce((sum, row) => sum + (row.connections ?? 0), 0) === held.length,
  );
  const victim = rows.find(({ role, connections }) => role === "worker" && connections! < CAP)!;
  const killedMs = performance.now();
  isDead = true;
  process.kill(victim.pid, "SIGKILL");
  const probes: Promise<Attempt>[] = [];
  while (performance.now() - killedMs < 3000) {
    probes.push(attempt(gateway.port));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const all = [...(await Promise.all(probes)), ...(await Promise.all(back))];
  const refusedBy = all.filter(({ outcome }) => outcome !== "101" && outcome !== "503");
  const lastMs = Math.max(0, ...refusedBy.map(({ beganMs }) => beganMs - killedMs));
  assert.ok(lastMs < BLIND_MS, `${JSON.stringify(outcomes(all))}, the last refused by the kernel after ${lastMs} ms`);
  assert.ok(all.every(({ outcome, retryAfter }) => outcome !== "503" || retryAfter));
  const refused = all.filter(({ outcome }) => outcome === "503").length;
  assert.ok(refused > CAP, `${refused} got 503`);
  const inside = all.filter(({ outcome }) => outcome === "101").length;
  const left = WORKERS * CAP - (held.length - victim.connections!);
  assert.equal(inside, left, "the new process takes its share, and no more");
  for (const one of [...held, ...all]) one.end();
});

it("the last worker with capacity does not stop listening when it is full: the kernel refuses no client", {
  skip,
}, async () => {
  await using gateway = await Gateway.start("--workers", String(WORKERS), "--worker-connections", String(CAP));
  const all: Attempt[] = [];
  while (all.length < WORKERS * CAP + 60) {
    all.push(await attempt(gateway.port));
    // For the supervisor's message: two workers that fill within the same milliseconds both stop listening for a moment.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(outcomes(all), { "101": WORKERS * CAP, "503": 60 });
  for (const one of all) one.end();
});
