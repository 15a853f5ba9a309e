/** The log: the next hub knows everything that was visible outside, wherever the previous one was killed. */
import assert from "node:assert/strict";
import { ftruncateSync, writeSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Hub } from "../../../../src/hub/hub.js";
import { readLog } from "../../../../src/hub/wal/read.js";
import { TopicRules } from "../../../../src/topics/rules.js";
import { LoggedHub, RULE } from "../../../support/hub.js";
import { runs } from "../../../support/runs.js";
import { until } from "../../../support/wait.js";

const rules = new TopicRules(RULE, "bare:history=0,keys=0");

/** Everything that a follower or a publisher could have been sent. */
function visible(hub: Hub): object {
  const all: Record<string, object> = {};
  for (const { name, offset, memory } of hub.table.values()) {
    if (offset === 0) continue;
    // Without times: restored entries have those of their block.
    const history = (memory?.all() ?? []).map(({ offset: at, key, push }) => [at, key, Buffer.from(push).toString()]);
    all[name] = { ...hub.describe(name)!, history };
  }
  return all;
}

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      topic: fc.constantFrom("a", "b", "c", "d", "bare:1"),
      key: fc.option(fc.constantFrom("k", "ü", "k3"), { nil: undefined }),
      data: fc.constantFrom("null", '"x"', JSON.stringify("é".repeat(300)), JSON.stringify("y".repeat(3000))),
      id: fc.option(fc.constantFrom("1", "2", "3"), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ type: "turn" as const }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("forget" as const), topic: fc.constantFrom("a", "b", "c") }) },
  { weight: 1, arbitrary: fc.constant({ type: "die" as const }) },
  { weight: 1, arbitrary: fc.constant({ type: "tear" as const }) },
);

describe("the log", () => {
  it("rules 10 and 11: holds exactly what was visible outside, whatever is published and forgotten, and wherever the hub is killed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
        using logged = new LoggedHub({ rules });
        for (const each of steps) {
          if (each.type === "publish") logged.hub.publishAll([each]);
          else if (each.type === "turn") await logged.flushed();
          else if (each.type === "forget") {
            const topic = logged.hub.table.find(each.topic);
            if (topic) logged.hub.table.forget(topic);
          } else {
            await logged.flushed();
            const before = visible(logged.hub);
            const { generation, epochCount: forgotten } = logged.hub;
            // Published in the turn in which the hub dies: nothing of it was visible outside.
            logged.hub.publish({ topic: "a", data: "1" });
            if (each.type === "tear") {
              const file = logged.files.find(({ size }) => size > 0);
              if (file) writeSync(file.fd, Buffer.from("MGBK torn, and not whole"), 0, 24, file.size);
            }
            logged.start();
            assert.deepEqual(visible(logged.hub), before);
            if (Object.keys(before).length > 0)
              assert.deepEqual([logged.hub.generation, logged.hub.epochCount], [generation, forgotten]);
          }
        }
      }),
      runs(300),
    );
  });

  it("rule 12: switches to the other file with an image of every topic, and may be killed while it does", async () => {
    using logged = new LoggedHub({ rules });
    const large = JSON.stringify("z".repeat(12_000));
    let killedImaging = 0;
    for (let n = 0; killedImaging < 3 && n < 60_000; n++) {
      logged.hub.publish({ topic: `t:${n % 400}`, data: large, key: "k", id: `${n % 50}` });
      logged.hub.publish({ topic: `t:${n % 400}`, data: large, key: `k${n % 3}` });
      if (n % 20 !== 0) continue;
      await logged.flushed();
      if (!logged.wal.isImaging) continue;
      killedImaging += 1;
      const before = visible(logged.hub);
      const ids = logged.hub.ids.size;
      logged.start();
      assert.deepEqual(visible(logged.hub), before);
      assert.equal(logged.hub.ids.size, ids);
    }
    assert.equal(killedImaging, 3);
    logged.hub.publish({ topic: "bare:1", data: "1" });
    await until(
      "the older file is emptied",
      async () => {
        await settle(logged);
        return logged.files.filter(({ size }) => size > 0).length;
      },
      (files) => files === 1,
    );
    const before = visible(logged.hub);
    logged.start();
    assert.deepEqual(visible(logged.hub), before);
  });

  it("rule 14: a full disk: nothing is visible outside before the supervisor knows, and the log goes on in memory", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    using logged = new LoggedHub({ rules }, ["disk", "disk", "memory", "memory"]);
    logged.hub.publish({ topic: "a", data: "1", key: "k" });
    await logged.flushed();
    for (const file of logged.files) if (file.kind === "disk") file.bytesFree = 0;
    logged.hub.publish({ topic: "a", data: "2", key: "k" });
    let left = "";
    logged.hold(() => {
      left = logged.states.join();
    });
    await logged.flushed();
    assert.equal(left, "ok,memory", "frames leave when the supervisor has confirmed it");
    for (let n = 0; n < 50; n++) logged.hub.publish({ topic: `t:${n}`, data: "3", key: "k" });
    for (let turn = 0; turn < 50; turn++) {
      logged.wal.schedule();
      await logged.flushed();
    }
    const before = visible(logged.hub);
    const { generation } = logged.hub;
    logged.start();
    assert.deepEqual(visible(logged.hub), before, "the hub may die in the meantime");
    assert.equal(logged.hub.generation, generation);
    // The whole gateway ends, and with it the memory files: states are kept, and epochs are new.
    const disk = logged.files.filter(({ kind }) => kind === "disk");
    const now = { boot: "", monotonicMs: 0, wallMs: 0 };
    assert.match(readLog(disk, now, () => undefined).reason, /kept in memory only/);
  });

  it("rule 14: returns to the disk when it has space, and is exact there", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    using logged = new LoggedHub({ rules }, ["disk", "disk", "memory", "memory"]);
    const disk = logged.files.filter(({ kind }) => kind === "disk");
    logged.hub.publish({ topic: "a", data: "1", key: "k" });
    await logged.flushed();
    for (const file of disk) file.bytesFree = 0;
    logged.hub.publish({ topic: "a", data: "2", key: "k" });
    await logged.flushed();
    for (let turn = 0; turn < 10; turn++) await settle(logged);
    t.mock.timers.tick(10_000);
    await settle(logged);
    assert.equal(logged.wal.state, "memory", "still no space");
    for (const file of disk) file.bytesFree = Infinity;
    logged.hub.publish({ topic: "b", data: "3", key: "k" });
    t.mock.timers.tick(10_000);
    await until(
      "it is back",
      async () => {
        await settle(logged);
        return logged.wal.state;
      },
      (state) => state === "ok",
    );
    assert.equal(logged.states.at(-1), "ok");
    assert.equal(logged.wal.close(), "");
    logged.start();
    assert.deepEqual(
      [logged.hub.describe("a")!.offset, logged.hub.describe("b")!.offset, logged.states.length],
      [2, 1, 3],
    );
  });

  it("rule 14: a stop with the log in memory saves it to the disk if possible, and else returns why not", async () => {
    for (const bytesFree of [0, Infinity]) {
      using logged = new LoggedHub({ rules }, ["disk", "disk", "memory", "memory"]);
      const disk = logged.files.filter(({ kind }) => kind === "disk");
      for (const file of disk) file.bytesFree = 0;
      logged.hub.publish({ topic: "a", data: "2", key: "k" });
      await logged.flushed();
      await settle(logged);
      for (const file of disk) file.bytesFree = bytesFree;
      const why = logged.wal.close();
      assert.equal(why === "", bytesFree === Infinity, why);
      if (bytesFree === 0) assert.match(why, /ENOSPC/);
    }
  });

  it("rule 13: after a copy, a reboot, a lost file or damage, states are kept and epochs are new; after an orderly stop numbering goes on", async () => {
    const present = (boot: string) => ({ boot, monotonicMs: 1000, wallMs: 2000 });
    using logged = new LoggedHub({ rules });
    logged.hub.publish({ topic: "a", data: "1", key: "k" });
    await logged.flushed();
    const read = (boot: string) => readLog(logged.files, present(boot), () => undefined);
    assert.match(read("another boot").reason, /restarted without an orderly stop/);
    assert.equal(logged.wal.close(), "");
    assert.deepEqual([read("another boot").isExact, read("another boot").isClean], [true, true]);
    logged.start();
    for (let n = 0; n < 20; n++) {
      logged.hub.publish({ topic: "a", data: "2", key: "k" });
      await logged.flushed();
    }
    assert.equal(read("another boot").isExact, false, "what came after the stop counts");
    const file = logged.files.find(({ size }) => size > 0)!;
    writeSync(file.fd, "damage", Math.floor(file.size / 2));
    assert.match(read("another boot").reason, /damaged/);
    ftruncateSync(file.fd, 0);
    writeSync(file.fd, "something else entirely", 0);
    assert.throws(() => read("x"), /no log of Megagate/);
  });

  it("times of another boot are translated: an entry keeps its age", async () => {
    using logged = new LoggedHub({ rules });
    logged.hub.publish({ topic: "a", data: "1", key: "k" });
    await logged.flushed();
    const wrote = Date.now();
    // 50 s after a reboot, ten seconds later by the wall clock.
    const now = { boot: "another", monotonicMs: 50_000, wallMs: wrote + 10_000 };
    const ages: number[] = [];
    readLog(logged.files, now, (record, { atMs }) => {
      if (record.type === "publication") ages.push(now.monotonicMs - atMs);
    });
    assert.ok(Math.abs(ages[0]! - 10_000) < 1000, String(ages));
  });

  it("a start that publishes nothing leaves the files as they were", async () => {
    using logged = new LoggedHub({ rules });
    logged.hub.publish({ topic: "a", data: "1", key: "k" });
    await logged.flushed();
    assert.equal(logged.wal.close(), "");
    const sizes = logged.files.map(({ size }) => size);
    logged.start();
    logged.hub.describe("a");
    logged.wal.schedule();
    await logged.flushed();
    assert.deepEqual(
      logged.files.map(({ size }) => size),
      sizes,
    );
  });

  it("all publications of one turn are one block", async () => {
    using logged = new LoggedHub({ rules });
    for (let n = 0; n < 1000; n++) logged.hub.publish({ topic: `t:${n}`, data: "1" });
    await logged.flushed();
    assert.equal(logged.wal.blocks, 2, "the session and the block");
  });
});

async function settle(logged: LoggedHub): Promise<void> {
  logged.wal.schedule();
  await logged.flushed();
  await new Promise((resolve) => setImmediate(resolve));
}
