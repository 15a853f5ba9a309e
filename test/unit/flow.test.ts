/**
 * The promise of the whole flow, as a property: in any interleaving of publishing, subscribing, reconnecting, slow reading,
 * broken links, dead workers and dead hubs, every subscriber sees contiguous offsets or a message that names the gap, and its
 * state equals the hub's. Real hub, log, topics, sessions and parking; only sockets and pipes are fakes.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { monotonicMs } from "../../src/clock.js";
import type { Hub } from "../../src/hub/hub.js";
import { MAX_CHUNK_BYTES } from "../../src/protocol/shared-message.js";
import { WAIT_MS } from "../../src/topics/topics.js";
import { ClientModel } from "../support/client-model.js";
import type { FakeSocket } from "../support/fake-socket.js";
import { config, FakeWorker, LINGER_MS, NAMES, rules } from "../support/fake-worker.js";
import { LoggedHub } from "../support/hub.js";
import { runs } from "../support/runs.js";

/** Graces of slow readers: none, one that a later tick ends, and one that never ends. */
const GRACES_MS = [0, 5000, 1e9];
const LATER_MS = 6000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Step =
  | { type: "publish"; topic: string; key: string | undefined; bytes: number }
  | { type: "connect"; client: number; worker: number; slow: boolean }
  | { type: "leave" | "drain" | "fast" | "slow"; client: number }
  | { type: "step"; worker: number; count: number }
  | { type: "unlink" | "relink" | "kill"; worker: number }
  | { type: "sweep"; worker: number; laterMs: number }
  | { type: "tick"; worker: number; later: boolean }
  /** `lost`: it dies in the turn of a publication. */
  | { type: "hubDies"; lost: boolean; stayAway: boolean };

const worker = fc.nat(1);
const client = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      topic: fc.constantFrom(...NAMES),
      key: fc.constantFrom("k1", "k2", "k3", undefined),
      bytes: fc.constantFrom(0, 10, 9000, 12_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("connect" as const), client, worker, slow: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom("leave" as const, "drain" as const, "fast" as const, "slow" as const, "slow" as const),
      client,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant("step" as const), worker, count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constantFrom("unlink" as const, "relink" as const, "kill" as const), worker }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("sweep" as const),
      worker,
      laterMs: fc.constantFrom(0, LINGER_MS, WAIT_MS),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("tick" as const), worker, later: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("hubDies" as const), lost: fc.boolean(), stayAway: fc.boolean() }),
  },
);

const steps = fc.array(step, { minLength: 5, maxLength: 120, size: "max" });

class Gateway implements Disposable {
  readonly #hub = new LoggedHub({ rules });
  readonly workers: FakeWorker[];
  readonly models = Array.from({ length: 4 }, () => new ClientModel());

  constructor(private readonly graceMs: number) {
    this.workers = [0, 1].map(() => new FakeWorker(this, graceMs));
  }

  get hub(): Hub {
    return this.#hub.hub;
  }

  hold(step: () => void): void {
    this.#hub.hold(step);
  }

  publish(topic: string, bytes: number, key: string | undefined): void {
    const data = bytes === 0 ? "null" : JSON.stringify("x".repeat(bytes));
    assert.equal(this.hub.publishAll([{ topic, data, key }]).error, undefined);
  }

  async run(each: Step): Promise<void> {
    switch (each.type) {
      case "publish":
        this.publish(each.topic, each.bytes, each.key);
        break;
      case "connect":
        if (!this.models[each.client]!.socket?.open)
          this.workers[each.worker]!.connect(this.models[each.client]!, each.slow);
        break;
      case "leave":
        this.#live(each.client)?.close();
        break;
      case "drain":
      case "fast":
        this.#drain(each.client, each.type === "fast");
        break;
      case "slow": {
        const socket = this.#live(each.client);
        if (socket) socket.slow = true;
        break;
      }
      case "step":
        this.workers[each.worker]!.step(each.count);
        break;
      case "unlink":
        this.workers[each.worker]!.unlink();
        break;
      case "sweep":
        this.workers[each.worker]!.topics.sweep(monotonicMs() + each.laterMs);
        break;
      case "relink":
        this.workers[each.worker]!.relink();
        break;
      case "kill":
        this.#kill(each.worker);
        break;
      case "tick":
        this.workers[each.worker]!.sessions.tick(monotonicMs() + (each.later ? LATER_MS : 0));
        break;
      case "hubDies":
        if (each.lost) this.publish(NAMES[0]!, 10, "k1");
        this.#restartHub(each.stayAway);
        break;
    }
    await turn();
    for (const model of this.models) model.check();
  }

  #live(index: number): FakeSocket | undefined {
    const { socket } = this.models[index]!;
    return socket?.open ? socket : undefined;
  }

  #drain(index: number, fast: boolean): void {
    const socket = this.#live(index);
    if (!socket) return;
    if (fast) socket.slow = false;
    socket.buffered = 0;
    for (const each of this.workers) if (each.sockets.has(socket)) each.sessions.drained(socket);
  }

  #kill(index: number): void {
    const dead = this.workers[index]!;
    for (const model of this.models) model.check();
    for (const socket of [...dead.sockets]) socket.close();
    this.hub.unlinked(dead.peer, NAMES);
    this.workers[index] = new FakeWorker(this, this.graceMs);
  }

  /** The first worker may be slow to dial in again. */
  #restartHub(stayAway: boolean): void {
    for (const each of this.workers) each.unlink();
    this.#hub.start();
    for (const each of this.workers.slice(stayAway ? 1 : 0)) each.relink();
  }

  /** Delivers everything that is under way, and lets all clients read. */
  async settle(): Promise<void> {
    for (const each of this.workers) if (!each.isLinked) each.relink();
    for (let i = 0; i < 60; i++) {
      for (const each of this.workers) each.step(1000);
      // A subscriber that waits for an offset that never came is answered from the replica as it is.
      if (i % 4 === 3) for (const each of this.workers) each.topics.sweep(monotonicMs() + WAIT_MS);
      for (const model of this.models) model.check();
      for (const each of this.workers) for (const model of this.models) each.resubscribe(model);
      for (const index of this.models.keys()) this.#drain(index, true);
      await turn();
    }
    for (const model of this.models) model.check();
  }

  [Symbol.dispose](): void {
    this.#hub[Symbol.dispose]();
  }
}

it("every subscriber sees contiguous offsets or is told of the gap, and its state equals the hub's", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...GRACES_MS), steps, async (graceMs, taken) => {
      using gateway = new Gateway(graceMs);
      // States larger than a chunk from the start, so that every subscriber is parked first.
      for (const topic of NAMES) for (const key of ["k1", "k2", "k3"]) gateway.publish(topic, 9000, key);
      for (const each of taken) await gateway.run(each);
      await gateway.settle();
      for (const model of gateway.models.filter(({ socket }) => socket?.open)) {
        for (const name of NAMES) {
          const truth = gateway.hub.describe(name)!;
          assert.deepEqual(model.positions.get(name), { epoch: truth.epoch, offset: truth.offset }, name);
          const state = Object.fromEntries(truth.state.map(({ key, data }) => [key, JSON.parse(data) as unknown]));
          if (model.partial.has(name)) continue;
          assert.deepEqual(Object.fromEntries(model.states.get(name)!), state, name);
        }
        // One push and one answer may go beyond, as in the arithmetic of config/slow-cost.ts.
        const max = config.maxBackpressureBytes + 12_500 + MAX_CHUNK_BYTES;
        assert.ok(model.socket!.max <= max, `a slow reader's buffer is bounded: ${model.socket!.max}`);
      }
    }),
    runs(300),
  );
});
