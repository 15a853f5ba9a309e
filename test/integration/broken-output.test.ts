/**
 * stdout or stderr that nobody reads any more, or that is full: every command goes on to its end without a stack trace, and
 * a load run's evidence is there. A load that is killed leaves no generator behind, and none of them says anything.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CLI, cli, Gateway, Run } from "../support/gateway.js";
import { until } from "../support/wait.js";

const sh = (command: string): Run =>
  new Run(spawn("sh", ["-c", command.replaceAll("megagate ", `"${process.execPath}" "${CLI}" `)]));
const STACK = /^ {4}at |node:internal|Unhandled/m;

describe("stdout and stderr that take nothing", () => {
  const commands = ["plan", "doctor", "doctor --json", "tune --diff", "serve --print-config", "--help", "plan --help"];

  it("a reader that has enough: nothing is said, and the status is that of the command", async () => {
    for (const command of [...commands, "serve --port x"]) {
      // The status of the command itself, not of the pipe.
      const { stdout: wanted } = await sh(`megagate ${command} >/dev/null 2>&1; echo $?`).ended;
      const cut = await sh(`exec 3>&1; { megagate ${command} 2>&4; echo $? >&3; } 4>&2 | head -c 0`).ended;
      assert.deepEqual([cut.stdout, STACK.test(cut.stderr)], [wanted, false], `${command}\n${cut.stderr}`);
    }
  });

  it("a full disk: one sentence, status 1; without stderr too, nothing but the status", async () => {
    for (const command of commands) {
      const exit = await sh(`megagate ${command} >/dev/full`).ended;
      assert.doesNotMatch(exit.stderr, STACK, command);
      assert.equal(exit.stderr.split("stdout could not be written: ENOSPC").length, 2, `${command}: ${exit.stderr}`);
      assert.equal(exit.code, 1, command);
      assert.equal((await sh(`megagate ${command} >/dev/full 2>/dev/full`).ended).code, 1, command);
    }
    assert.equal((await sh("megagate serve --port x 2>/dev/full").ended).code, 2);
  });
});

describe("a load run", () => {
  let gateway: Gateway;
  let folder = "";
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "megagate-broken-"));
    gateway = await Gateway.start("--workers", "1");
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const words = (report: string, holdSeconds: number): string[] => [
    ...["load", "--target", gateway.url, "--admin-url", `http://127.0.0.1:${gateway.adminPort}`],
    ...["--connections", "100", "--broadcasts", "1", "--hold-seconds", String(holdSeconds), "--report", report],
    ...["--generators", "2"],
  ];
  const held = (report: string): boolean =>
    existsSync(report) && (JSON.parse(readFileSync(report, "utf8")) as { verdict: string }).verdict === "held";

  it("goes on when nobody reads its progress and its result any more", async () => {
    const report = join(folder, "unread.json");
    const run = cli(words(report, 2));
    run.process.stderr?.once("data", () => run.process.stderr?.destroy());
    run.process.stdout?.destroy();
    assert.equal((await run.ended).code, 0);
    assert.ok(held(report));
  });

  it("goes on when both are full: the verdict is in the evidence and in the status", async () => {
    const report = join(folder, "full.json");
    const command = words(report, 1).join(" ");
    const exit = await sh(`megagate ${command} >/dev/full`).ended;
    assert.equal(exit.code, 0, exit.stderr);
    assert.match(exit.stderr, /megagate: stdout could not be written: ENOSPC/);
    assert.ok(held(report));
    rmSync(report);
    assert.equal((await sh(`megagate ${command} >/dev/full 2>/dev/full`).ended).code, 0);
    assert.ok(held(report));
  });

  it("shows its result, and says where the evidence is, when its place fails in the end", async () => {
    const exit = await cli(words("/dev/full", 1), { TMPDIR: folder }).ended;
    assert.equal(exit.code, 1);
    assert.match(exit.stdout, /^verdict: HELD$/m);
    const [, path = ""] = /^evidence: (.*)$/m.exec(exit.stdout) ?? [];
    assert.ok(path.startsWith(folder) && held(path), exit.stdout);
    assert.match(exit.stderr, /the evidence could not be written to \/dev\/full: ENOSPC/);
  });

  it("that is killed leaves no generator behind, and none says anything", async () => {
    const run = cli(words(join(folder, "killed.json"), 30));
    const children = await until(
      "all are open",
      async () => ((await gateway.metric("megagate_connections")) >= 100 ? childrenOf(run.process) : []),
      (pids) => pids.length === 2,
      20_000,
    );
    const said = run.stderr.length;
    run.process.kill("SIGKILL");
    await run.ended;
    await until(
      "generators are gone",
      () => children.filter((pid) => existsSync(`/proc/${pid}`)),
      (left) => left.length === 0,
    );
    assert.doesNotMatch(run.stderr.slice(said), STACK);
  });

  it("leaves nothing but its evidence", () =>
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    ));
});

function childrenOf({ pid = 0 }: ChildProcess): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
