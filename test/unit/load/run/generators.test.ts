/** The generator processes as the coordinator holds them: counts, answers, deaths, and an end that leaves none behind. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GeneratorConfig } from "../../../../load/generator/messages.js";
import { Generators } from "../../../../load/run/generators.js";
import { until } from "../../../support/wait.js";
import { FakeGenerator } from "./fake-generator.js";

const CONFIG: GeneratorConfig = {
  connections: 100,
  sources: [],
  portRange: null,
  address: "127.0.0.1",
  port: 8080,
  host: "127.0.0.1:8080",
  path: "/ws?topics=load",
  numberAt: -1,
  topic: "load",
  first: 0,
  ofAll: 200,
  run: "ab12cd",
  broadcastMessages: 1,
  connectTimeoutMs: 20_000,
};

async function started(count = 2): Promise<{ generators: Generators; fakes: FakeGenerator[] }> {
  const fakes: FakeGenerator[] = [];
  const generators = new Generators(
    Array.from({ length: count }, (_, i) => ({ ...CONFIG, first: i * 100 })),
    () => {
      fakes.push(new FakeGenerator());
      return fakes.at(-1)!;
    },
  );
  await generators.start();
  return { generators, fakes };
}

describe("generators", () => {
  it("send each its configuration once it is ready, and nothing before", async () => {
    const { generators, fakes } = await started();
    assert.deepEqual(
      fakes.map(({ commands }) => commands),
      [0, 100].map((first) => [{ type: "configure", config: { ...CONFIG, first } }]),
    );
    assert.deepEqual(
      generators.pids,
      fakes.map(({ pid }) => pid),
    );
    assert.equal(generators.total().pending, 200, "all are pending before the first report");
  });

  it("keep the last counts of each and add them up", async () => {
    const { generators, fakes } = await started();
    fakes[0]!.reportCounts({ open: 30, failed: { timeout: 1 } });
    fakes[0]!.reportCounts({ open: 40, failed: { timeout: 2 } });
    fakes[1]!.reportCounts({ open: 5, failed: { timeout: 1, EMFILE: 3 } });
    assert.deepEqual([generators.of(0).open, generators.of(1).open, generators.total().open], [40, 5, 45]);
    assert.deepEqual(generators.total().failed, { timeout: 3, EMFILE: 3 });
  });

  it("collect one answer from each, of the subject that was asked for", async () => {
    const { generators, fakes } = await started();
    const collecting = generators.collect({ broadcast: 2 });
    const late = { histogram: [], delivered: 77, duplicates: 0, lastAtMs: 0 };
    fakes[0]!.report({ type: "collected", subject: { broadcast: 1 }, ...late });
    const answers = await collecting;
    assert.equal(answers.length, 2);
    for (const { subject, delivered } of answers) assert.deepEqual([subject, delivered], [{ broadcast: 2 }, 0]);
  });

  it("collect from the living only", async () => {
    const { generators, fakes } = await started(3);
    fakes[1]!.ignores.add("collect");
    const collecting = generators.collect("handshakes");
    fakes[1]!.crash(null, "SIGKILL");
    assert.equal((await collecting).length, 2);
    assert.equal((await generators.collect("handshakes")).length, 2, "a dead one is not waited for");
  });

  it("keep a death with its reason, and count its connections as gone", async () => {
    const { generators, fakes } = await started();
    for (const fake of fakes)
      fake.reportCounts({
        open: 100,
        pending: 0,
        held: 100,
        heartbeatsSent: 7,
      });
    fakes[1]!.crash(null, "SIGKILL");
    fakes[0]!.crash(134, null);
    assert.deepEqual(generators.deaths, [
      "generator 2 of 2 ended by SIGKILL and took 100 open connections with it",
      "generator 1 of 2 ended with status 134 and took 100 open connections with it",
    ]);
    const { open, held, pending, heartbeatsSent } = generators.total();
    assert.deepEqual([open, held, pending, heartbeatsSent], [0, 0, 0, 14]);
    generators.commandAll({ type: "halt" });
    assert.ok(fakes.every(({ commands }) => commands.every(({ type }) => type !== "halt")));
  });

  it("start although one dies before it is ready", async () => {
    let forked = 0;
    const generators = new Generators([CONFIG, CONFIG], () => new FakeGenerator({ diesAtStart: forked++ === 0 }));
    await generators.start();
    assert.deepEqual(generators.deaths, ["generator 1 of 2 ended with status 1 and took 0 open connections with it"]);
    assert.equal(generators.total().pending, 100, "its connections will never open");
  });

  it("end in order, without a death, and leave none behind", async () => {
    const { generators, fakes } = await started();
    await generators.end();
    assert.ok(fakes.every(({ exitCode, connected }) => exitCode === 0 && !connected));
    assert.deepEqual(generators.deaths, []);
  });

  it("are killed by handle at once", async () => {
    const { generators, fakes } = await started();
    generators.kill();
    await until(
      "all have ended",
      () => fakes.map(({ signalCode }) => signalCode),
      (signals) => signals.every((signal) => signal === "SIGKILL"),
    );
    assert.deepEqual(generators.deaths, []);
  });
});
