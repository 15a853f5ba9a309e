/**
 * What a gateway says when it is ready, to a program and to a person, and that its log names what ended it.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { CLI, Gateway, Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

const logged = ({ stderr }: Run, message: RegExp): Record<string, unknown>[] =>
  stderr
    .split("\n")
    .filter((line) => message.test(line))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("a gateway", () => {
  it("says to a program, on exactly one line, that it is ready and where; its log names the signal", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const gateway = await Gateway.start("--workers", "2");
      gateway.run.process.kill(signal);
      const exit = await gateway.run.ended;
      assert.equal(exit.code, 0);
      const { port, adminPort } = gateway;
      const ready = {
        event: "ready",
        clients: `ws://127.0.0.1:${port}/ws`,
        admin: `http://127.0.0.1:${adminPort}`,
        workers: 2,
      };
      assert.equal(exit.stdout, `${JSON.stringify(ready)}\n`);
      assert.deepEqual(
        logged(gateway.run, /"stopping/).map((line) => line.signal),
        [signal],
      );
    }
  });

  it("names a second signal too, which ends it at once", async () => {
    const gateway = await Gateway.start("--workers", "1", "--stop-notice-seconds", "60");
    gateway.run.process.kill("SIGTERM");
    await until(
      "the first is logged",
      () => logged(gateway.run, /"stopping/),
      (lines) => lines.length === 1,
    );
    // Nearer than half a second it would be the same request.
    await new Promise((resolve) => setTimeout(resolve, 700));
    gateway.run.process.kill("SIGINT");
    assert.equal((await gateway.run.ended).code, 130);
    assert.equal(logged(gateway.run, /asked twice/)[0]?.signal, "SIGINT");
  });

  it("names the example page with --dev, which names the admin port that is in use", async () => {
    await using gateway = await Gateway.start("--dev", "--workers", "1");
    const { page } = JSON.parse(gateway.run.stdout) as { page: string };
    assert.equal(page, `http://127.0.0.1:${gateway.port}/`);
    assert.match(await (await fetch(page)).text(), new RegExp(`http://127\\.0\\.0\\.1:${gateway.adminPort}/publish`));
  });

  // `script` gives it a terminal, and hangs up when it is ended.
  it("says it to a person in a banner, and when the terminal is closed why it stops", async () => {
    const command = `exec '${process.execPath}' '${CLI}' serve --port 0 --admin-port 0 --dev --workers 1`;
    const run = new Run(spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "pipe"] }));
    await until(
      "the banner",
      () => run.stdout,
      (text) =>
        /megagate \S+ is ready: 1 workers\s+page +http:\S+\/ .*\s+clients +ws:.*\s+private +http:.*\/metrics/.test(
          text,
        ),
      20_000,
    );
    assert.doesNotMatch(run.stdout, /"event":"ready"/);
    // Ctrl-C, as a person types it.
    run.process.stdin?.write("\u0003");
    await run.ended;
    assert.match(run.stdout, /stopping: clients are sent away and come back later signal=SIGINT/);
  });
});
