/** The limits of a run: which one stops it, which memory counts, and what waits on although it has stopped. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MemoryReader, RunLimits } from "../../../../load/run/stop.js";
import { until } from "../../../support/wait.js";

type Group = ReturnType<MemoryReader["groupMemory"]>;

interface FakeMachine {
  freeBytes: number;
  group: Group;
}

function limitsOf(machine: Partial<FakeMachine> = {}, timeLimitSeconds = 900) {
  const state: FakeMachine = { freeBytes: 9e9, group: null, ...machine };
  const calls = { samples: 0, kills: 0 };
  const host: MemoryReader = {
    memory: () => ({ freeBytes: state.freeBytes, slabBytes: 0 }) as ReturnType<MemoryReader["memory"]>,
    groupMemory: () => state.group,
  };
  const limits = new RunLimits(
    host,
    { memoryFloorBytes: 1e9, timeLimitSeconds },
    { sample: () => calls.samples++, killNow: () => calls.kills++ },
  );
  return { limits, state, calls };
}

const stopOf = (limits: RunLimits): Promise<RunLimits["stop"]> =>
  until(
    "a stop",
    () => limits.stop,
    (stop) => stop !== undefined,
  );

describe("limits of a run", () => {
  it("stop below the memory floor, and keep the minimum of free memory", async () => {
    const { limits, state } = limitsOf();
    assert.equal(limits.stop, undefined);
    state.freeBytes = 999_999_999;
    const stop = await stopOf(limits);
    const text = "free memory and page cache fell to 999999999 bytes, below the floor of 1000000000";
    assert.deepEqual(stop, { type: "memory floor", text });
    state.freeBytes = 8e9;
    await until(
      "a sample",
      () => limits.freeBytes,
      (free) => free === 8e9,
    );
    assert.equal(limits.minFreeBytes, 999_999_999);
    limits.end();
  });

  it("watch the control group where that is nearer to its floor, which is a tenth of its limit", async () => {
    const group = {
      limit: 2e9,
      used: 1e9,
      at: "/pods/a",
      version: 2,
    } as NonNullable<Group>;
    const { limits, state } = limitsOf({ group });
    assert.deepEqual([limits.freeBytes, limits.floorBytes], [1e9, 2e8]);
    state.group = { ...group, used: 1.9e9 };
    const stop = await stopOf(limits);
    assert.match(
      stop!.text,
      /^the free memory of the control group \/pods\/a fell to 100000000 bytes, below .* 200000000$/,
    );
    limits.end();
  });

  it("stop at the time limit; the first limit that was reached is kept", async () => {
    const { limits, state } = limitsOf({}, 0);
    const stop = await stopOf(limits);
    assert.deepEqual(stop, {
      type: "time limit",
      text: "the time limit of 0 s was reached",
    });
    state.freeBytes = 0;
    await until(
      "a sample",
      () => limits.freeBytes,
      (free) => free === 0,
    );
    assert.equal(limits.stop?.type, "time limit");
    limits.end();
  });

  it("waitFor ends with the condition, on a stop, or when nothing moves", async () => {
    const { limits } = limitsOf();
    assert.equal(await limits.waitFor(() => true, 0), true);
    assert.equal(await limits.waitFor(() => false, 60), false, "no progress for 60 ms");
    let progress = 0;
    const moving = limits.waitFor(
      () => progress >= 6,
      60,
      () => progress++,
    );
    assert.equal(await moving, true, "each poll moved");
    const waiting = limits.waitFor(() => false, Number.POSITIVE_INFINITY);
    limits.stop = { type: "time limit", text: "" };
    assert.equal(await waiting, false);
    limits.end();
  });

  it("a signal stops in order; the second one ends everything at once and every wait with it", async () => {
    const before = process.listeners("SIGINT");
    const { limits, calls } = limitsOf();
    const [signal] = process.listeners("SIGINT").filter((listener) => !before.includes(listener));
    limits.stop = { type: "time limit", text: "" };
    signal!("SIGINT");
    assert.deepEqual(limits.stop, { type: "signal", text: "stopped by SIGINT" }, "a signal replaces another stop");
    await limits.waitThroughStop(() => true, 60_000);
    const closing = limits.waitThroughStop(() => false, 60_000);
    // The shell and the terminal may both send it: signals within half a second count as one.
    signal!("SIGINT");
    assert.equal(calls.kills, 0);
    await new Promise((resolve) => setTimeout(resolve, 550));
    signal!("SIGTERM");
    await closing;
    assert.deepEqual([calls.kills, limits.stop.text], [1, "stopped by SIGTERM"]);
    limits.end();
    assert.deepEqual(process.listeners("SIGINT"), before);
  });
});
