/** Who hangs and who is only busy, as the supervisor judges it from its own ticks. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import type { SilenceNews } from "../../../src/supervision/control-channel.js";
import { type CpuTime, cpuTime, Liveness, type NamedChild } from "../../../src/supervision/liveness.js";
import { until } from "../../support/wait.js";

/** One process as the supervisor sees it; `lives` makes a second of its life. */
class FakeChild {
  hasSpoken = false;
  isWatched = true;
  ended = 0;
  cpu: CpuTime = { ticks: 0, state: "S" };
  lives: () => void = () => {
    this.hasSpoken = true;
  };

  constructor(public pid: number) {}

  endHung(): void {
    this.ended += 1;
    this.pid += 100;
  }
}

const stopped = (child: FakeChild) => (): void => {
  child.cpu = { ...child.cpu, state: "T" };
};
const busy = (child: FakeChild) => (): void => {
  child.cpu = { ticks: child.cpu.ticks + 100, state: "R" };
};

class Machine {
  readonly hub = new FakeChild(1);
  readonly workers = [new FakeChild(2), new FakeChild(3)];
  readonly lines: string[] = [];
  readonly news: SilenceNews[] = [];
  readonly liveness: Liveness;
  #nowMs = 0;

  constructor(hungSeconds = 120) {
    const all = (): NamedChild[] => [
      { name: "hub", child: this.hub },
      ...this.workers.map((child, worker) => ({ name: `worker ${worker}`, worker, child })),
    ];
    this.liveness = new Liveness({
      hungSeconds,
      log: (level, message) => void this.lines.push(`${level}: ${message}`),
      children: all,
      sendToHub: (news) => void this.news.push(news),
      cpuTime: (pid) => [this.hub, ...this.workers].find((child) => child.pid === pid)?.cpu,
    });
  }

  pass(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      for (const child of [this.hub, ...this.workers]) child.lives();
      this.#nowMs += 1000;
      this.liveness.tick(this.#nowMs);
    }
  }

  /** The clock goes on, nobody runs; what was said before waits to be read. */
  standStill(ms: number): void {
    this.#nowMs += ms;
    this.liveness.tick(this.#nowMs);
  }

  ended(): number[] {
    return [this.hub, ...this.workers].map(({ ended }) => ended);
  }
}

describe("liveness", () => {
  it("nobody is named or ended while everybody speaks", () => {
    const machine = new Machine();
    machine.pass(300);
    assert.deepEqual([machine.ended(), machine.lines], [[0, 0, 0], []]);
    assert.deepEqual(
      machine.news.map(({ silent }) => silent),
      [[]],
    );
  });

  it("a stopped worker is named after 5 s and ended after 20, the others stay", () => {
    const machine = new Machine();
    const [worker] = machine.workers as [FakeChild, FakeChild];
    machine.pass(10);
    worker.lives = stopped(worker);
    machine.pass(4);
    assert.equal(machine.lines.length, 0);
    machine.pass(1);
    assert.match(machine.lines[0]!, /^warn: worker 0 has said nothing for 5 s/);
    assert.deepEqual(machine.news.at(-1)!.silent, [{ worker: 0, seconds: 5 }]);
    machine.pass(14);
    assert.deepEqual(machine.ended(), [0, 0, 0]);
    machine.pass(1);
    assert.deepEqual(machine.ended(), [0, 1, 0]);
    assert.match(machine.lines.at(-1)!, /^error: worker 0 hangs: nothing heard for 20 s, .*no CPU time \(state T\)/);
    assert.deepEqual(machine.news.at(-1), { type: "silence", silent: [], ended: { hub: 0, worker: 1 } });
    // The one that took its place is another process, with all its time.
    machine.pass(15);
    assert.deepEqual(machine.ended(), [0, 1, 0]);
  });

  it("the hub likewise", () => {
    const machine = new Machine();
    machine.hub.lives = stopped(machine.hub);
    machine.pass(21);
    assert.deepEqual(machine.ended(), [1, 0, 0]);
  });

  it("who burns CPU has --hung-seconds, and is heard again after a long broadcast", () => {
    const machine = new Machine(60);
    const [worker] = machine.workers as [FakeChild, FakeChild];
    const speaks = worker.lives;
    worker.lives = busy(worker);
    machine.pass(59);
    assert.deepEqual(machine.ended(), [0, 0, 0]);
    worker.lives = speaks;
    machine.pass(1);
    assert.match(machine.lines.at(-1)!, /^info: worker 0 is heard again/);
    worker.lives = busy(worker);
    machine.pass(60);
    assert.deepEqual(machine.ended(), [0, 1, 0]);
    assert.match(machine.lines.at(-1)!, /nothing heard for 60 s, the most that --hung-seconds allows/);
  });

  it("a process that stands still after having burned CPU has 20 s from then on", () => {
    const machine = new Machine();
    const [worker] = machine.workers as [FakeChild, FakeChild];
    worker.lives = busy(worker);
    machine.pass(30);
    worker.lives = stopped(worker);
    machine.pass(17);
    assert.deepEqual(machine.ended(), [0, 0, 0]);
    machine.pass(3);
    assert.deepEqual(machine.ended(), [0, 1, 0]);
  });

  it("who waits for a disk, or for a CPU that others use, is not taken for stopped", () => {
    for (const state of ["D", "R"]) {
      const machine = new Machine();
      machine.hub.lives = () => {
        machine.hub.cpu = { ticks: 5, state };
      };
      machine.pass(100);
      assert.deepEqual(machine.ended(), [0, 0, 0], state);
      machine.pass(25);
      assert.deepEqual(machine.ended(), [1, 0, 0], state);
    }
  });

  it("a time in which the supervisor or the machine stood still is nobody's silence", () => {
    const machine = new Machine();
    machine.pass(5);
    for (let i = 0; i < 50; i++) machine.standStill(3_600_000);
    assert.deepEqual([machine.ended(), machine.lines], [[0, 0, 0], []]);
    for (const child of [machine.hub, ...machine.workers]) child.lives = stopped(child);
    machine.pass(15);
    machine.standStill(60_000);
    machine.pass(15);
    assert.deepEqual(machine.ended(), [0, 0, 0], "the time before does not count on");
  });

  it("one that was told to stop is left to whoever told it, and 0 ends nobody", () => {
    const leaving = new Machine();
    for (const child of [leaving.hub, ...leaving.workers]) {
      child.lives = stopped(child);
      child.isWatched = false;
    }
    leaving.pass(200);
    assert.deepEqual([leaving.ended(), leaving.lines], [[0, 0, 0], []]);
    const machine = new Machine(0);
    machine.hub.lives = stopped(machine.hub);
    machine.pass(200);
    assert.deepEqual(machine.ended(), [0, 0, 0]);
    assert.match(machine.lines[0]!, /^warn: hub has said nothing/);
  });

  it("reads CPU time and state of a process, whatever its name", async () => {
    const child = spawn(process.execPath, ["-e", "process.title = 'a) R ('; setInterval(() => undefined, 1000)"]);
    try {
      await until(
        "it sleeps",
        () => cpuTime(child.pid!)?.state,
        (state) => state === "S",
      );
      child.kill("SIGSTOP");
      const before = await until(
        "it is stopped",
        () => cpuTime(child.pid!),
        (cpu) => cpu?.state === "T",
      );
      assert.ok(before!.ticks >= 0 && before!.ticks < 500);
      assert.deepEqual(cpuTime(child.pid!), before);
      assert.equal(cpuTime(2 ** 22 + 1), undefined);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
