/** `load` and `million` as a user runs them: runs that hold, runs that are refused before they start, and runs that are stopped. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { descendants, living } from "../support/descendants.js";
import { evidencePath, load, readEvidence, startLoad } from "../support/evidence.js";
import { CLI, cli, freePorts, Gateway, Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

describe("load", () => {
  it("holds all connections, and writes evidence with every key of its schema", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const { exit, evidence } = await load(gateway, "--connections", "1500", "--hold-seconds", "1", "--broadcasts", "2");
    assert.equal(exit.code, 0, exit.stdout + exit.stderr);
    assert.equal(evidence.schema, "megagate.evidence.v1");
    assert.equal(evidence.verdict, "held");
    assert.deepEqual([evidence.target, evidence.open, evidence.unexpectedCloses], [1500, 1500, 0]);
    assert.deepEqual([evidence.heartbeats.sent, evidence.heartbeats.answered], [1500, 1500]);
    assert.deepEqual(
      evidence.broadcasts.map((b) => [b.delivered, b.duplicates]),
      [
        [1500, 0],
        [1500, 0],
      ],
    );
    assert.ok(evidence.ramp.length > 0 && evidence.host.cores > 0 && evidence.plan.workers === 2);
    await until(
      "all were closed in order",
      () => gateway.metric('megagate_closed_total{reason="client"}'),
      (n) => n >= 1500,
    );
    await gateway.shows("megagate_connections", 0);
  });

  it("--topic user:{n}: each connection has its own topic, and gets what is published to it and nothing else", async () => {
    await using gateway = await Gateway.start("--workers", "2");
    const options = ["--connections", "1500", "--hold-seconds", "1", "--broadcasts", "2", "--topic", "user:{n}"];
    const { exit, evidence } = await load(gateway, ...options);
    assert.equal(exit.code, 0, exit.stdout + exit.stderr);
    assert.deepEqual(
      evidence.broadcasts.map(({ topics, delivered, duplicates }) => [topics, delivered, duplicates]),
      [
        [1500, 1500, 0],
        [1500, 1500, 0],
      ],
    );
    await until(
      "each publication was sent to one connection",
      () => gateway.metric("megagate_pushes_total"),
      (n) => n === 3000,
    );
    await gateway.shows("megagate_topics", 1500);
  });

  it("Ctrl-C: closes in order, writes its evidence, exits with 130, and leaves the gateway running", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const report = evidencePath();
    const run = startLoad(gateway, report, "--connections", "500", "--hold-seconds", "60");
    await until(
      "open",
      () => gateway.metric("megagate_connections"),
      (n) => n === 500,
    );
    run.process.kill("SIGINT");
    const exit = await run.ended;
    assert.equal(exit.code, 130, exit.stderr);
    const evidence = readEvidence(report);
    assert.equal(evidence.verdict, "stopped");
    assert.equal(evidence.open, 500);
    await until(
      "closed",
      () => gateway.metric("megagate_connections"),
      (n) => n === 0,
    );
  });

  it("a gateway that is too small: not held, with the number and the reason", async () => {
    await using gateway = await Gateway.start("--workers", "2", "--worker-connections", "100");
    const { exit, evidence } = await load(
      gateway,
      "--connections",
      "300",
      "--hold-seconds",
      "0",
      "--time-limit-seconds",
      "20",
    );
    assert.equal(exit.code, 1, exit.stdout);
    assert.equal(evidence.verdict, "not held");
    assert.ok(evidence.open <= 200 && evidence.open > 150, String(evidence.open));
    assert.ok(
      evidence.reasons.some((reason) => reason.includes("of 300 connections opened")),
      evidence.reasons.join(),
    );
    const [cause] = evidence.plateau?.causes ?? [];
    assert.deepEqual([cause?.id, cause?.certainty, cause?.numbers.cap], ["worker-connections", "proven", 200]);
    assert.match(exit.stdout, /^plateau .*worker-connections: every worker .* is at the cap that it was given/m);
  });

  it("no gateway listens: the error names the address and the remedy", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const exit = await cli(["load", "--target", `ws://127.0.0.1:${port}/ws`, "--connections", "1"]).ended;
    assert.equal(exit.code, 1, exit.stderr);
    assert.match(exit.stderr, new RegExp(`127.0.0.1:${port}.*make serve`, "s"));
    assert.doesNotMatch(exit.stderr, /\n {4}at /);
  });

  it("too few descriptors: refused before it starts, by name", async () => {
    await using gateway = await Gateway.start("--workers", "1");
    const args = `load --target ${gateway.url} --admin-url http://127.0.0.1:${gateway.adminPort} --connections 1000 --generators 1`;
    const exit = await new Run(spawn("sh", ["-c", `ulimit -n 200; exec "${process.execPath}" "${CLI}" ${args}`])).ended;
    assert.equal(exit.code, 3, exit.stderr);
    assert.match(exit.stderr, /descriptors/);
  });

  it("million: gateway, load and stop in one command", async () => {
    const report = evidencePath();
    const { port, adminPort } = await freePorts();
    const ports = ["--port", port, "--admin-port", adminPort];
    const exit = await cli(["million", "--connections", "1000", "--hold-seconds", "1", "--report", report, ...ports])
      .ended;
    assert.equal(exit.code, 0, exit.stdout + exit.stderr);
    assert.equal(readEvidence(report).open, 1000);
    const refused = await fetch(`http://127.0.0.1:${adminPort}/healthz`).catch(() => "gone");
    assert.equal(refused, "gone", "the gateway has left with the command");
  });

  it("million: killed with SIGKILL in the middle, its gateway ends by itself, in order, and no process is left", async () => {
    const { port, adminPort } = await freePorts();
    const ports = ["--port", port, "--admin-port", adminPort, "--report", evidencePath()];
    const run = cli(["million", "--connections", "1000", "--hold-seconds", "60", ...ports]);
    const open = async (): Promise<number> => {
      const metrics = await fetch(`http://127.0.0.1:${adminPort}/metrics`).then((r) => r.text(), String);
      return Number(/^megagate_connections (\d+)$/m.exec(metrics)?.[1] ?? 0);
    };
    await until("all are open", open, (n) => n === 1000, 60_000);
    const pids = descendants(run.process.pid!);
    assert.ok(pids.length >= 5, "gateway, hub, workers and generators");
    run.process.kill("SIGKILL");
    const left = (): number[] => living(pids);
    await until("all have ended", left, (alive) => alive.length === 0, 30_000);
    const { stderr } = await run.ended;
    assert.match(stderr, /command that started this gateway is gone.*stopping.*stopped/s);
  });

  it("a gateway that no process claims outlives the process that started it, with or without an IPC channel", async () => {
    const { port, adminPort } = await freePorts();
    const serve = ["serve", "--port", port, "--admin-port", adminPort, "--connections", "100", "--workers", "1"];
    const child = spawn(process.execPath, [CLI, ...serve], { stdio: ["pipe", "ignore", "ignore", "ipc"] });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const healthy = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
        (response) => response.status === 200,
        () => false,
      );
    await until("ready", healthy, Boolean, 30_000);
    child.stdin?.end();
    child.disconnect();
    await until(
      "its channel is closed",
      () => child.connected,
      (connected) => !connected,
    );
    const endMs = performance.now() + 1500;
    await until("it stays", healthy, (ready) => !ready || performance.now() > endMs);
    assert.ok(await healthy());
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
  });
});
