/** One child process that is kept alive: real processes of a stub. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Child } from "../../../src/supervision/child-process.js";
import type { ChildReport, StartWorker } from "../../../src/supervision/control-channel.js";
import { until } from "../../support/wait.js";
import { DIE, IGNORE_STOP, order, STUB } from "./stub-child.js";

/** A child of the stub, and everything that it reported. */
class Kept {
  readonly reports: ChildReport[] = [];
  readonly lines: string[] = [];
  readonly deaths: number[] = [];
  readonly child = new Child({
    name: "stub",
    entry: STUB,
    startMessage: () => ({ type: "startWorker" }) as StartWorker,
    onMessage: (message) => this.reports.push(message),
    onDied: (_pid, restarts) => this.deaths.push(restarts),
    log: (level, message) => this.lines.push(`${level} ${message}`),
  });

  async started(): Promise<this> {
    this.child.start();
    await this.ready();
    return this;
  }

  async ready(): Promise<void> {
    await until(
      "it is ready",
      () => this.child.ready,
      (ready) => ready,
    );
  }
}

describe("a child process", () => {
  it("is started with its message, and ready when it says so; what it reports is passed on", async () => {
    const kept = await new Kept().started();
    assert.deepEqual(kept.reports, [{ type: "ready" }]);
    assert.deepEqual([kept.child.alive, kept.child.isWatched, kept.child.hasSpoken], [true, true, true]);
    assert.equal(await kept.child.stop(5000), false);
    assert.equal(kept.child.alive, false);
    assert.deepEqual(kept.deaths, [], "a stop is no death");
  });

  it("is forked again when it dies, with a new process number, and the death is logged and counted", async () => {
    const kept = await new Kept().started();
    const { pid } = kept.child;
    kept.child.send(order(DIE));
    await until(
      "it died",
      () => kept.deaths,
      (deaths) => deaths.length === 1,
    );
    assert.equal(kept.child.ready, false);
    await kept.ready();
    assert.notEqual(kept.child.pid, pid);
    assert.deepEqual([kept.deaths, kept.child.restarts], [[1], 1]);
    assert.deepEqual(kept.lines, ["error stub died; restarting"]);
    await kept.child.stop(5000);
  });

  it("is cut at the deadline when it does not stop", async () => {
    const kept = await new Kept().started();
    kept.child.send(order(IGNORE_STOP));
    const startMs = performance.now();
    assert.equal(await kept.child.stop(200), true);
    assert.ok(performance.now() - startMs >= 195);
    assert.equal(kept.child.alive, false);
  });

  it("is ended when it hangs, also when it is stopped by a signal, and another takes its place", async () => {
    const kept = await new Kept().started();
    const { pid } = kept.child;
    process.kill(pid!, "SIGSTOP");
    kept.child.endHung();
    await until(
      "another is ready",
      () => kept.child.ready && kept.child.pid !== pid,
      (ready) => ready,
    );
    kept.child.kill();
    await until(
      "it is gone",
      () => kept.child.alive,
      (alive) => !alive,
    );
  });

  it("is not started again once it was told to stop, though it was dead then", async () => {
    const kept = await new Kept().started();
    kept.child.send(order(DIE));
    await until(
      "it died",
      () => kept.deaths,
      (deaths) => deaths.length === 1,
    );
    assert.equal(await kept.child.stop(1000), false);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(kept.child.alive, false);
  });
});
