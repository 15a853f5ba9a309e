/**
 * A whole run without processes or sockets: fake generators, a fake admin address and the coordinator itself. What holds,
 * what is found where a phase fails, and which phases a stop leaves out.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Observer } from "../../../../load/attribution/observer.js";
import { judge } from "../../../../load/evidence/evidence.js";
import type { GeneratorCommand } from "../../../../load/generator/messages.js";
import { LOAD_OPTIONS } from "../../../../load/options.js";
import { Run } from "../../../../load/run/coordinator.js";
import type { RunContext } from "../../../../load/run/phases.js";
import type { AdminClient } from "../../../../load/run/target.js";
import { resolve } from "../../../../src/config/resolve.js";
import { takeSnapshot } from "../../../../sysctl/attribution/counters.js";
import { KernelFiles } from "../../../../sysctl/kernel/files.js";
import { MachineReader } from "../../../../sysctl/kernel/machine.js";
import { until } from "../../../support/wait.js";
import { FakeGenerator } from "./fake-generator.js";

const SHARES = [40, 30, 30];

class FakeAdmin implements AdminClient {
  readonly access = { adminUrl: "http://127.0.0.1:1", adminKeyFile: "" };
  readonly published: string[][] = [];
  /** What the gateway counts, before the run's 100 and with them. */
  connections = 105;
  publishFault = "";

  processes = () => Promise.resolve({ processes: [], connections: this.connections });
  scrape = () => Promise.resolve({ connections: this.connections, tookMs: 3 });
  publish = () => Promise.reject(new Error("not in a steady run"));
  end(): void {}

  publishAll(lines: Iterable<string>): Promise<void> {
    this.published.push([...lines]);
    return this.publishFault === "" ? Promise.resolve() : Promise.reject(new Error(this.publishFault));
  }
}

interface Parts {
  readonly run: Run;
  readonly fakes: readonly FakeGenerator[];
  readonly admin: FakeAdmin;
  readonly shown: readonly string[];
}

/** A run of 100 connections over three generators, of which two connect at the same time. */
async function runOf(flags: Record<string, string> = {}, changes: Partial<RunContext> = {}): Promise<Parts> {
  const { config } = resolve(LOAD_OPTIONS, {
    command: "load",
    flags: {
      connections: "100",
      holdSeconds: "0",
      broadcasts: "2",
      memoryFloor: "300MB",
      ...flags,
    },
    env: {},
  });
  const admin = new FakeAdmin();
  const context: RunContext = {
    config,
    target: {
      url: config.target,
      address: "127.0.0.1",
      port: 8080,
      host: "127.0.0.1:8080",
      path: "/ws?topics=load",
      numberAt: -1,
      colocated: true,
    },
    plan: {
      shares: SHARES.map((connections) => ({ connections, sources: [] })),
      sourceAddresses: [],
      portRange: null,
      inFlight: 10,
      lanes: 2,
    },
    host: new MachineReader(),
    admin,
    held: 5,
    ...changes,
  };
  const circumstances = {
    target: 100,
    colocated: true,
    cores: 2,
    generators: 3,
    nofile: 20_000,
  };
  const snapshot = takeSnapshot(new KernelFiles());
  const observer = new Observer(
    { ...circumstances, sources: 0, ports: 28_232, wholeRange: false },
    { kernel: () => snapshot, gateway: () => Promise.resolve(null) },
  );
  const fakes: FakeGenerator[] = [];
  const shown: string[] = [];
  const run = new Run(context, {
    observer,
    forkGenerator: () => {
      fakes.push(new FakeGenerator());
      return fakes.at(-1)!;
    },
    progressOutput: { write: (text) => shown.push(text) },
  });
  await run.start();
  return { run, fakes, admin, shown };
}

/** A fake generator reports each push as received as soon as it is published. */
function deliver({ admin, fakes }: Parts): void {
  const publish = admin.publishAll.bind(admin);
  admin.publishAll = (lines) => {
    for (const fake of fakes)
      fake.reportCounts({
        delivered: fake.counts.delivered + fake.counts.open,
      });
    return publish(lines);
  };
}

const typesOf = (fake: FakeGenerator): GeneratorCommand["type"][] => fake.commands.map(({ type }) => type);

describe("coordinator", () => {
  it("runs ramp, hold, broadcasts and close in order, and the run holds", async () => {
    const parts = await runOf();
    const { run, fakes, admin, shown } = parts;
    deliver(parts);
    await run.rampUp();
    await run.hold();
    await run.broadcastAll();
    const findings = run.findings();
    await run.close();
    assert.deepEqual(judge(findings, true), {
      verdict: "held",
      reasons: [],
      remarks: [],
    });
    const evidence = run.evidence(findings);
    assert.deepEqual([evidence.target, evidence.open, evidence.unexpectedCloses], [100, 100, 0]);
    assert.deepEqual(evidence.gatewayCount, { processes: 100, metrics: 100, scrapeMs: 3 }, "less what it held before");
    assert.deepEqual([evidence.heartbeats.asked, evidence.heartbeats.answered], [100, 100]);
    assert.deepEqual(
      evidence.broadcasts.map(({ expected, delivered }) => [expected, delivered]),
      [
        [100, 100],
        [100, 100],
      ],
    );
    assert.deepEqual(typesOf(fakes[0]!), [
      ...["configure", "ramp", "collect", "heartbeats", "collect"],
      ...["collect", "collect", "close"],
    ]);
    assert.ok(fakes.every(({ exitCode }) => exitCode === 0));
    assert.equal(admin.published.length, 2);
    const phases = new Set(shown.map((line) => line.split(":", 1)[0]));
    assert.deepEqual([...phases], ["start", "ramp", "hold", "broadcast 1", "broadcast 2", "close"]);
  });

  it("numbers connections through all generators and gives each the run's id, target and time limit", async () => {
    const { run, fakes } = await runOf({ connectTimeoutSeconds: "7" });
    await until("configured", () => fakes.every(({ config }) => config), Boolean);
    assert.deepEqual(
      fakes.map(({ config }) => [config!.first, config!.connections, config!.ofAll]),
      [
        [0, 40, 100],
        [40, 30, 100],
        [70, 30, 100],
      ],
    );
    assert.ok(fakes.every(({ config }) => config!.run === run.runId && config!.connectTimeoutMs === 7000));
    assert.ok(fakes.every(({ config }) => config!.reconnects === undefined));
    await run.close();
  });

  it("gives generators of a scenario the number of their first connection", async () => {
    const reconnects = {
      policy: "sdk",
      naiveMs: 0,
      topics: 10,
      socketsPerTopic: 10,
    } as const;
    const { run, fakes } = await runOf({}, { reconnects });
    await until("configured", () => fakes.every(({ config }) => config), Boolean);
    assert.deepEqual(
      fakes.map(({ config }) => config!.reconnects),
      [0, 40, 70].map((first) => ({ ...reconnects, first })),
    );
    await run.close();
  });

  it("ramps as many generators at a time as the plan has lanes, and shares rate and flight among these", async () => {
    const { run, fakes } = await runOf({ rate: "1000" });
    for (const fake of fakes) fake.ignores.add("ramp");
    const ramping = run.rampUp();
    const asked = (): number => fakes.filter((fake) => typesOf(fake).includes("ramp")).length;
    await until("two ramp", asked, (n) => n === 2);
    assert.deepEqual(fakes[0]!.commands.at(-1), {
      type: "ramp",
      ratePerSecond: 500,
      inFlight: 5,
    });
    fakes[1]!.reportCounts({ open: 30, pending: 0 });
    await until("the third takes the free lane", asked, (n) => n === 3);
    fakes[0]!.reportCounts({ open: 40, pending: 0 });
    fakes[2]!.reportCounts({ open: 30, pending: 0 });
    await ramping;
    assert.equal(run.open, 100);
    assert.ok(run.acceptPerSecond > 0);
    await run.close();
  });

  it("a generator that dies in the ramp does not hold up the others; the run has not held", async () => {
    const { run, fakes } = await runOf({
      broadcasts: "0",
      heartbeatsPerConnection: "0",
    });
    fakes[1]!.ignores.add("ramp");
    const ramping = run.rampUp();
    await until("it ramps", () => typesOf(fakes[1]!).includes("ramp"), Boolean);
    fakes[1]!.crash(null, "SIGKILL");
    await ramping;
    const { verdict, reasons } = judge(run.findings(), false);
    assert.deepEqual([verdict, run.open], ["not held", 70]);
    assert.match(reasons.join("\n"), /^generator 2 of 3 ended by SIGKILL and took 0 open connections.*\n70 of 100/);
    await run.close();
  });

  it("a stop in the ramp: abandons what is pending, skips the other phases, and closes", async () => {
    const { run, fakes, admin } = await runOf();
    fakes[2]!.ignores.add("ramp");
    const ramping = run.rampUp();
    await until(
      "two are open",
      () => run.generators.total().open,
      (open) => open === 70,
    );
    run.limits.stop = { type: "signal", text: "stopped by SIGINT" };
    await ramping;
    await run.hold();
    await run.broadcastAll();
    const findings = run.findings();
    await run.close();
    assert.deepEqual(typesOf(fakes[2]!), ["configure", "ramp", "halt", "collect", "close"]);
    assert.deepEqual(admin.published, []);
    const { verdict, reasons } = judge(findings, false);
    assert.equal(verdict, "stopped");
    assert.deepEqual(reasons.slice(0, 2), ["stopped by SIGINT", "70 of 100 connections opened"]);
  });

  it("a publication that fails is a reason, and no more broadcasts follow it", async () => {
    const parts = await runOf({ heartbeatsPerConnection: "0" });
    parts.admin.publishFault = "publishing 1 lines was answered with 503";
    await parts.run.rampUp();
    await parts.run.broadcastAll();
    const findings = parts.run.findings();
    await parts.run.close();
    assert.deepEqual(findings.complaints, [
      "broadcast 1 could not be published: publishing 1 lines was answered with 503",
    ]);
    assert.match(judge(findings, false).reasons.join(), /0 of 2 broadcasts were published/);
    assert.equal(parts.admin.published.length, 1);
  });

  it("publishes each broadcast with the run's id, of the size that was asked for, to one topic or to all", async () => {
    const parts = await runOf({
      topic: "user:{n}",
      broadcastMessages: "2",
      broadcasts: "1",
      broadcastBytes: "90",
    });
    await parts.run.rampUp();
    const broadcasting = parts.run.broadcastAll();
    await until("published", () => parts.admin.published.length, Boolean);
    // Two publications to each connection.
    for (const fake of parts.fakes) fake.reportCounts({ delivered: 2 * fake.counts.open });
    await broadcasting;
    const [lines] = parts.admin.published;
    assert.equal(lines?.length, 200);
    const { topic, data } = JSON.parse(lines[199]!) as {
      topic: string;
      data: { run: string; n: number };
    };
    assert.deepEqual([topic, data.run, data.n], ["user:99", parts.run.runId, 1]);
    assert.equal(JSON.stringify(data).length, 90);
    const [found] = parts.run.evidence(parts.run.findings()).broadcasts;
    assert.deepEqual([found?.topics, found?.messages, found?.expected], [100, 2, 200]);
    await parts.run.close();
  });
});
