/** A rolling restart goes by what the hub sees: while that is away, or knows half of the workers, nobody is sent away. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Load } from "../../../src/supervision/control-channel.js";
import { rollWorkers } from "../../../src/supervision/rolling-restart.js";
import type { Worker, WorkerPool } from "../../../src/supervision/worker-pool.js";
import { until } from "../../support/wait.js";

const LOAD: Load = {
  ready: true,
  connections: 100,
  handshakes: 0,
  workers: 2,
  counted: 2,
  workersListening: 2,
  refusedFull: 0,
  lagSeconds: 0,
  ended: 0,
  rate: 1000,
};

/** Two workers without processes, and a hub that is as the test says. */
class FakeGateway {
  workers: Worker[] = [this.#worker(0), this.#worker(1)];
  load: Load | undefined = LOAD;
  ended = { restarts: 0, rolled: 0 };
  readonly sentAway: number[] = [];
  onHired: () => void = () => undefined;
  readonly lines: string[] = [];

  #worker(slot: number): Worker {
    const child = { ready: true, pid: slot } as unknown as Worker["child"];
    return { slot, child, up: true, full: false, leaving: false, overflow: false, windowMs: 0 };
  }

  spawn(): Worker {
    const fresh = this.#worker(this.workers.length);
    this.workers.push(fresh);
    this.onHired();
    return fresh;
  }

  replace(worker: Worker): Promise<boolean> {
    this.sentAway.push(worker.slot);
    this.workers = this.workers.filter((one) => one !== worker);
    this.ended = { restarts: 0, rolled: this.ended.rolled + 1 };
    if (this.load) this.load = { ...this.load, ended: this.ended.rolled };
    return Promise.resolve(false);
  }

  roll(): Promise<void> {
    return rollWorkers(this as unknown as WorkerPool, {
      log: (_level, message) => void this.lines.push(message),
      stopSeconds: 1,
      returnRate: () => 1000,
      load: () => this.load,
      stopping: () => false,
      onProgress: () => undefined,
    });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a rolling restart while the hub is away", () => {
  it("does not begin before the hub has heard from every worker", async () => {
    const gateway = new FakeGateway();
    gateway.load = { ...LOAD, counted: 1 };
    const rolled = gateway.roll();
    await pause(400);
    assert.deepEqual([gateway.workers.length, gateway.sentAway], [2, []]);
    gateway.load = LOAD;
    await rolled;
    assert.deepEqual(gateway.sentAway, [0, 1]);
  });

  it("sends nobody away when the hub goes while the new process starts", async () => {
    const gateway = new FakeGateway();
    gateway.onHired = () => {
      gateway.load = undefined;
      gateway.onHired = () => undefined;
    };
    const rolled = gateway.roll();
    await until(
      "the new process is there",
      () => gateway.workers.length,
      (n) => n === 3,
    );
    await pause(300);
    assert.deepEqual(gateway.sentAway, []);
    gateway.load = LOAD;
    await rolled;
    assert.deepEqual(gateway.sentAway, [0, 1]);
  });

  it("does not go on to the next worker before a hub that came back sees the clients again", async () => {
    const gateway = new FakeGateway();
    const replace = gateway.replace.bind(gateway);
    gateway.replace = (worker) => {
      const replaced = replace(worker);
      if (gateway.sentAway.length === 1) gateway.load = undefined;
      return replaced;
    };
    const rolled = gateway.roll();
    await until(
      "the first is sent away",
      () => gateway.sentAway.length,
      (n) => n === 1,
    );
    // Longer than the clients' window and the time to settle (3 s): nobody saw anything meanwhile.
    await pause(3500);
    gateway.load = { ...LOAD, counted: 0, connections: 0, ended: 1 };
    await pause(300);
    assert.deepEqual(gateway.sentAway, [0]);
    gateway.load = { ...LOAD, ended: 1 };
    await rolled;
    assert.deepEqual(gateway.sentAway, [0, 1]);
    assert.deepEqual(gateway.lines.filter((line) => line === "worker replaced").length, 2);
  });
});
