/**
 * The hub process is killed three times, once while it writes images, at 20,000 sockets with a topic of its own each and 500
 * publications a second: no socket closes, what was answered is not undone, numbering goes on, nobody sees a gap, and every topic
 * is served again within seconds. HUB_DIES_CONNECTIONS and HUB_DIES_PER_SECOND try it at other sizes.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { SurePublisher, Truth } from "../support/chaos-model.js";
import { evidencePath, readEvidence, startLoad } from "../support/evidence.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const CONNECTIONS = Number(process.env.HUB_DIES_CONNECTIONS ?? 20_000);
const PER_SECOND = Number(process.env.HUB_DIES_PER_SECOND ?? 500);
const STEP_MS = 50;
const LANES = 4;
const KILLS = 3;
/** Kill to ready: bar at 100,000 topics, where this machine does nothing else. */
const SERVED_MS = Number(process.env.HUB_DIES_SERVED_MS ?? 5000);
/** So large that the log goes over to its other file while the test runs. */
const FILLER = "f".repeat(10_000);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const topicOf = (n: number): string => `user:${String(n % CONNECTIONS).padStart(5, "0")}`;

/** Publishes at a fixed rate to one topic after the other, each message until it is taken. */
class Publisher {
  readonly truth = new Truth();
  readonly #sure: SurePublisher;
  #isOver = false;
  #next = 0;
  readonly #lanes: Promise<void>[];

  constructor(gateway: Gateway) {
    this.#sure = new SurePublisher(() => `http://127.0.0.1:${gateway.adminPort}`, this.truth);
    this.#lanes = Array.from({ length: LANES }, () => this.#lane());
  }

  async #lane(): Promise<void> {
    const each = Math.max(1, Math.round((PER_SECOND * STEP_MS) / 1000 / LANES));
    for (let dueMs = performance.now(); !this.#isOver; dueMs += STEP_MS) {
      const messages = Array.from({ length: each }, () => {
        const n = this.#next++;
        return { topic: topicOf(n), key: "state", data: `${n} ${"s".repeat(100)}` };
      });
      await this.#sure.publish(messages);
      await sleep(Math.max(0, dueMs + STEP_MS - performance.now()));
    }
  }

  /** Makes the log grow by 5 MB. */
  async fill(): Promise<void> {
    await this.#sure.publish(Array.from({ length: 500 }, (_, n) => ({ topic: `filler:${n % 50}`, data: FILLER })));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }
}

async function killHub(gateway: Gateway): Promise<number> {
  const hub = (await gateway.processes()).find((row) => row.role === "hub")!;
  process.kill(hub.pid, "SIGKILL");
  const killedMs = performance.now();
  const ready = (): Promise<number> => gateway.status("/readyz").catch(() => 0);
  await until("every topic is served again", ready, (status) => status === 200, 60_000);
  return performance.now() - killedMs;
}

it("the hub killed three times under load: no socket closes, nothing is lost or given out twice", async (t) => {
  await using gateway = await Gateway.start(
    "--connections",
    String(CONNECTIONS),
    "--topic-rules",
    "filler:history=1,keys=0",
  );
  const report = evidencePath();
  const holdSeconds = 60 + Math.ceil(CONNECTIONS / 2000);
  const sizes = ["--connections", CONNECTIONS, "--topic", "user:{n}", "--hold-seconds", holdSeconds, "--broadcasts", 0];
  const run = startLoad(gateway, report, ...sizes.map(String));
  const connections = (): Promise<number> => gateway.metric("megagate_connections").catch(() => -1);
  await until("all are open", connections, (n) => n === CONNECTIONS, 120_000);
  const publisher = new Publisher(gateway);
  const { truth } = publisher;
  // Every topic has a publication before the first death.
  await until(
    "publications flow",
    () => truth.published,
    (n) => n >= Math.min(CONNECTIONS, PER_SECOND * 15),
    120_000,
  );
  const servedMs: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++) {
    if (kill === KILLS) {
      const isImaging = (): Promise<number> => gateway.metric("megagate_log_writes_images");
      for (let filled = 0; filled < 60 && (await isImaging()) === 0; filled++) await publisher.fill();
    }
    servedMs.push(await killHub(gateway));
    await sleep(3000);
  }
  await publisher.stop();
  await gateway.shows("megagate_connections", CONNECTIONS);
  t.diagnostic(
    `served again after ${servedMs.map((ms) => `${ms.toFixed()} ms`).join(", ")}; ${truth.published} publications`,
  );
  assert.deepEqual(truth.faults, [], "no offset has two values");
  const sample = Array.from({ length: 400 }, (_, n) => topicOf(Math.floor((n * CONNECTIONS) / 400)));
  for (const topic of sample) {
    const { position, state, epochs } = truth.of(topic);
    if (!position) continue;
    assert.equal(epochs.size, 1, `${topic}: one epoch`);
    const shown = (await (await gateway.admin(`/topics/${topic}`)).json()) as {
      epoch: string;
      offset: number;
      state: { data: unknown }[];
    };
    assert.deepEqual([shown.epoch, shown.offset], [position.epoch, position.offset], topic);
    assert.deepEqual(
      shown.state.map(({ data }) => JSON.stringify(data)),
      [...state.values()],
      topic,
    );
  }
  for (const name of [
    "megagate_topics_unserved_total",
    "megagate_topics_renumbered_total",
    "megagate_topics_evicted_total",
  ])
    await gateway.shows(name, 0);
  const exit = await run.ended;
  const evidence = readEvidence(report);
  assert.equal(exit.code, 0, exit.stdout + exit.stderr);
  assert.deepEqual([evidence.unexpectedCloses, evidence.gaps, evidence.oddMessages], [0, 0, {}]);
  assert.ok(Math.max(...servedMs) < SERVED_MS, servedMs.join());
});
