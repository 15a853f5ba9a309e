/**
 * Chaos: workers and the hub are killed and stopped at random, the hub twice within a second, while it reads its log, while it
 * writes images and during a rolling restart, while 200 clients of the SDK come and go on topics with small and large states and
 * slow readers of every policy stall. CHAOS_SECONDS (60) and CHAOS_SEED choose a longer or another run; the seed is printed.
 *
 * The judge: no duplicate, no silent gap, no offset with two values, no deaf subscriber, every state equal to the model, and at
 * the end budgets, queues, waiters, parked sockets and log are back where they were.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import WebSocket from "ws";
import { Random } from "../fuzz/random.js";
import { Subscriber, SurePublisher, Truth } from "../support/chaos-model.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 60);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const WORKERS = 4;
const CLIENTS = 200;
const SMALL_TOPICS = 300;
const BIG = "big";
const BIG_KEYS = 400;
const KEY_BYTES = 5000;
const SLOW_READERS = 12;
/** Below the age at which a silent process is taken for dead. */
const STOP_MS = 12_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const small = (n: number): string => `small:${n}`;

class Chaos {
  readonly truth = new Truth();
  readonly random = new Random(SEED);
  readonly subscribers: Subscriber[] = [];
  readonly publisher: SurePublisher;
  readonly done: string[] = [];
  readonly #slow: WebSocket[] = [];
  #isOver = false;
  #values = 0;

  constructor(readonly gateway: Gateway) {
    this.publisher = new SurePublisher(() => `http://127.0.0.1:${gateway.adminPort}`, this.truth);
  }

  value(): string {
    return `${this.#values++} ${"v".repeat(this.random.below(2) === 0 ? 20 : KEY_BYTES)}`;
  }

  async begin(): Promise<void> {
    for (let from = 0; from < SMALL_TOPICS; from += 100) {
      const messages = Array.from({ length: 100 }, (_, i) => ({
        topic: small(from + i),
        key: "k0",
        data: this.value(),
      }));
      await this.publisher.publish(messages);
    }
    for (let from = 0; from < BIG_KEYS; from += 100) {
      const messages = Array.from({ length: 100 }, (_, i) => ({
        topic: BIG,
        key: `k${from + i}`,
        data: "x".repeat(KEY_BYTES),
      }));
      await this.publisher.publish(messages);
    }
    for (let n = 0; n < CLIENTS; n++) {
      const subscriber = new Subscriber(this.gateway.url, this.truth);
      this.subscribers.push(subscriber);
      for (let i = 0; i < 4; i++) subscriber.follow(small(this.random.below(SMALL_TOPICS)));
      if (n % 10 === 0) subscriber.follow(BIG);
    }
    for (let n = 0; n < SLOW_READERS; n++) this.#slow.push(this.#slowReader(n));
  }

  #slowReader(n: number): WebSocket {
    const topics = [`${["c", "d", "small"][n % 3]}:${n}`, BIG].join(",");
    const socket = new WebSocket(`${this.gateway.url}?topics=${topics}`);
    socket.on("error", () => undefined);
    socket.on("message", () => {
      if (this.random.below(10) > 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), this.random.below(4000)).unref();
    });
    return socket;
  }

  async publishAll(): Promise<void> {
    while (!this.#isOver) {
      const messages = Array.from({ length: 4 }, () => {
        const topic = this.random.below(50) === 0 ? BIG : small(this.random.below(SMALL_TOPICS));
        const key = `k${this.random.below(topic === BIG ? BIG_KEYS : 3)}`;
        return { topic, key, data: topic !== BIG && this.random.below(8) === 0 ? null : this.value() };
      });
      messages.push({
        topic: `${this.random.below(2) === 0 ? "c" : "d"}:${this.random.below(SLOW_READERS)}`,
        key: "k",
        data: this.value(),
      });
      await this.publisher.publish(messages);
      await sleep(20);
    }
  }

  /** So that the log goes over to its other file several times. */
  async fillLog(): Promise<void> {
    let n = 0;
    while (!this.#isOver) {
      const lines = Array.from({ length: 50 }, () => ({ topic: `bulk:${n++ % 40}`, data: "b".repeat(10_000) }));
      await fetch(`http://127.0.0.1:${this.gateway.adminPort}/publish`, {
        method: "POST",
        body: JSON.stringify(lines),
        signal: AbortSignal.timeout(15_000),
      }).then(
        (response) => response.arrayBuffer(),
        () => undefined,
      );
      await sleep(150);
    }
  }

  async churn(): Promise<void> {
    while (!this.#isOver) {
      const subscriber = this.subscribers[this.random.below(this.subscribers.length)]!;
      const followed = [...subscriber.subscriptions.keys()].filter((topic) => topic !== BIG);
      if (followed.length > 2) subscriber.leave(followed[this.random.below(followed.length)]!);
      subscriber.follow(small(this.random.below(SMALL_TOPICS)));
      for (const [n, socket] of this.#slow.entries())
        if (socket.readyState === WebSocket.CLOSED) this.#slow[n] = this.#slowReader(n);
      await sleep(30);
    }
  }

  /** Child processes of the supervisor by their entry file. */
  children(entry: "hub" | "worker"): number[] {
    const { pid } = this.gateway.run.process;
    const all = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    return all.filter((child) => {
      try {
        return readFileSync(`/proc/${child}/cmdline`, "utf8").includes(`${entry}.js`);
      } catch {
        return false;
      }
    });
  }

  signal(entry: "hub" | "worker", signal: NodeJS.Signals): number | undefined {
    const pids = this.children(entry);
    const pid = pids[this.random.below(Math.max(1, pids.length))];
    if (pid === undefined) return undefined;
    try {
      process.kill(pid, signal);
      return pid;
    } catch {
      return undefined;
    }
  }

  async kill(entry: "hub" | "worker"): Promise<void> {
    const pid = this.signal(entry, "SIGKILL");
    if (pid !== undefined)
      await until(
        `${pid} is gone`,
        () => this.children(entry).includes(pid),
        (is) => !is,
      );
  }

  async stopFor(entry: "hub" | "worker", ms: number): Promise<void> {
    const pid = this.signal(entry, "SIGSTOP");
    await sleep(ms);
    if (pid !== undefined && this.children(entry).includes(pid)) process.kill(pid, "SIGCONT");
  }

  readonly disturbances: Readonly<Record<string, () => Promise<void>>> = {
    "kills a worker": () => this.kill("worker"),
    "kills the hub": () => this.kill("hub"),
    "kills the hub twice within a second": async () => {
      await this.kill("hub");
      await sleep(this.random.below(900));
      await this.kill("hub");
    },
    "kills the hub while it reads its log": async () => {
      await this.kill("hub");
      await until(
        "the next one lives",
        () => this.children("hub").length,
        (n) => n > 0,
      ).catch(() => undefined);
      await sleep(100 + this.random.below(250));
      await this.kill("hub");
    },
    "kills the hub while it writes images": async () => {
      const isImaging = (): Promise<number> => this.gateway.metric("megagate_log_writes_images").catch(() => 0);
      await until("images", isImaging, (n) => n === 1, 15_000).catch(() => undefined);
      await this.kill("hub");
    },
    "kills hub and worker together": async () => {
      this.signal("worker", "SIGKILL");
      await this.kill("hub");
    },
    "kills the hub during a rolling restart": async () => {
      await this.gateway.admin("/restart-workers", { method: "POST" }).catch(() => undefined);
      await sleep(this.random.below(3000));
      await this.kill("hub");
    },
    "stops a worker": () => this.stopFor("worker", 2000 + this.random.below(STOP_MS - 2000)),
    "stops the hub": () => this.stopFor("hub", 1000 + this.random.below(6000)),
  };

  async wreak(untilMs: number): Promise<void> {
    const names = Object.keys(this.disturbances);
    for (let n = 0; performance.now() < untilMs; n++) {
      const name = n < names.length ? names[(n * 7 + SEED) % names.length]! : names[this.random.below(names.length)]!;
      this.done.push(name);
      await this.disturbances[name]!();
      await sleep(500 + this.random.below(2500));
    }
  }

  /** Every subscriber has the position that publishers were answered. */
  async settle(): Promise<void> {
    const ready = (): Promise<number> => this.gateway.status("/readyz").catch(() => 0);
    await until("ready", ready, (status) => status === 200, 60_000);
    await until(
      "all are back",
      () => this.subscribers.filter(({ client }) => client.state !== "open").length,
      (n) => n === 0,
      60_000,
    );
    for (const topic of this.truth.topics) await this.publisher.publish([{ topic, key: "last", data: this.value() }]);
    const wrong = (): string[] => this.subscribers.flatMap((subscriber) => subscriber.wrong()).slice(0, 5);
    await until("nobody is deaf, and every state is the model's", wrong, (all) => all.length === 0, 60_000);
  }

  over(): void {
    this.#isOver = true;
  }

  close(): void {
    for (const { client } of this.subscribers) client.close();
    for (const socket of this.#slow) socket.terminate();
  }
}

/** The topic as the admin port shows it, a page at a time. */
async function shownBy(
  gateway: Gateway,
  topic: string,
): Promise<{ epoch: string; offset: number; state: Map<string, string> }> {
  const state = new Map<string, string>();
  for (let query = ""; ; ) {
    const page = (await (await gateway.admin(`/topics/${topic}${query}`)).json()) as {
      epoch: string;
      offset: number;
      state: { key: string; data: unknown }[];
      next?: string;
    };
    for (const { key, data } of page.state) state.set(key, JSON.stringify(data));
    if (page.next === undefined) return { epoch: page.epoch, offset: page.offset, state };
    query = `?after=${encodeURIComponent(page.next)}`;
  }
}

/** Private memory of all processes of the gateway, MB. Waits until all are there: one that was killed may not be back yet. */
async function memory(gateway: Gateway): Promise<number> {
  const rows = await until(
    "supervisor, hub and all workers are there",
    () => gateway.processes().catch(() => []),
    ({ length }) => length === 2 + WORKERS,
    60_000,
  );
  const each = rows.map(({ pid }) =>
    Number(/^Pss_Anon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]),
  );
  return each.reduce((sum, kilobytes) => sum + kilobytes, 0) / 1000;
}

it("nothing is lost quietly and nobody is deaf, whatever is killed and stopped", {
  timeout: (SECONDS * 3 + 240) * 1000,
}, async (t) => {
  t.diagnostic(`CHAOS_SEED=${SEED} CHAOS_SECONDS=${SECONDS}`);
  const options = [
    "--workers",
    String(WORKERS),
    "--topic-linger-seconds",
    "2",
    "--slow-reader-grace-ms",
    "2000",
    "--max-requests-per-second",
    "0",
  ];
  const rules = "c:slow=conflate;d:slow=drop;bulk:history=2,keys=0";
  await using gateway = await Gateway.start(...options, "--topic-rules", rules, "--stop-seconds", "10");
  const chaos = new Chaos(gateway);
  try {
    await chaos.begin();
    const work = [chaos.publishAll(), chaos.fillLog(), chaos.churn()];
    const startMs = performance.now();
    await chaos.wreak(startMs + SECONDS * 500);
    const half = await memory(gateway);
    await chaos.wreak(startMs + SECONDS * 1000);
    chaos.over();
    await Promise.all(work);
    await chaos.settle();
    const whole = await memory(gateway);
    const counts = chaos.subscribers.map(({ client }) => client.counts);
    const sum = (name: "duplicates" | "gaps" | "pushes" | "connections"): number =>
      counts.reduce((all, each) => all + each[name], 0);
    const renumbered = chaos.subscribers.reduce((all, each) => all + each.renumbered, 0);
    const resets = chaos.subscribers.reduce((all, each) => all + each.resets, 0);
    t.diagnostic(
      `${chaos.done.length} disturbances; ${chaos.truth.published} published, ${chaos.publisher.refused} tries refused; ${sum("pushes")} pushes, ` +
        `${sum("connections")} connections, ${resets} resets; ${half.toFixed()} MB, then ${whole.toFixed()} MB`,
    );
    assert.deepEqual(chaos.truth.faults, []);
    assert.deepEqual(
      { duplicates: sum("duplicates"), gaps: sum("gaps"), renumbered },
      { duplicates: 0, gaps: 0, renumbered: 0 },
    );
    for (const topic of chaos.truth.topics) {
      const { position, state, epochs } = chaos.truth.of(topic);
      assert.equal(epochs.size, 1, `${topic}: one epoch`);
      const shown = await shownBy(gateway, topic);
      assert.deepEqual([shown.epoch, shown.offset], [position?.epoch, position?.offset], topic);
      const wrong = [...state].filter(([key, data]) => shown.state.get(key) !== data).map(([key]) => key);
      assert.deepEqual([shown.state.size, wrong], [state.size, []], topic);
    }
    // A young heap may be collected or not: 40 MB of five processes.
    assert.ok(whole <= 1.1 * half + 40, `memory grew from ${half.toFixed()} to ${whole.toFixed()} MB`);
    chaos.close();
    const rest = [
      "megagate_connections",
      "megagate_subscriptions",
      "megagate_parked_connections",
      "megagate_waiting_subscribers",
      "megagate_worker_topics",
      "megagate_worker_topic_memory_bytes",
      "megagate_topics_unpublished",
    ];
    const left = async (): Promise<Record<string, number>> =>
      Object.fromEntries(await Promise.all(rest.map(async (name) => [name, await gateway.metric(name)] as const)));
    await until("nothing is held any more", left, (all) => Object.values(all).every((n) => n === 0), 30_000);
    for (const name of [
      "megagate_topics_unserved_total",
      "megagate_topics_renumbered_total",
      "megagate_log_failed",
      "megagate_unknown_frames_total",
    ])
      await gateway.shows(name, 0);
    assert.ok((await gateway.metric("megagate_log_bytes")) < 3 * 67_108_864 + 50e6);
  } finally {
    chaos.over();
    chaos.close();
    for (const entry of ["hub", "worker"] as const)
      for (const pid of chaos.children(entry)) process.kill(pid, "SIGCONT");
  }
});
