/**
 * `doctor --prove` for real: connections stop exactly at the table's size and both cures remove the limit; and whatever ends a
 * proof, the host's nf_conntrack_max is restored. Needs root on a machine where no connections are tracked: as root a missing
 * condition is a failure with its reason, otherwise the tests are skipped.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import type { ProofResult } from "../../sysctl/prove/prove.js";
import { TRACE_PATH, type Trace } from "../../sysctl/prove/trace.js";
import { descendants, living } from "../support/descendants.js";
import { CLI, cli, type Exit, Run } from "../support/gateway.js";
import { needsRoot } from "../support/needs.js";
import { until } from "../support/wait.js";

const MAXIMUM = "/proc/sys/net/netfilter/nf_conntrack_max";
const readMaximum = (): string => readFileSync(MAXIMUM, "utf8").trim();
const skip = needsRoot("to make network namespaces and to set nf_conntrack_max");

/** Other tests may track connections in namespaces of their own for a moment: a proof waits for its turn. */
async function proveWhenIdle(...args: string[]): Promise<Exit> {
  const busy = ({ code, stderr }: Exit): boolean =>
    code === 3 && /are tracked now|is running on this host/.test(stderr);
  return await until(
    "a proof that was not refused",
    () => cli(["doctor", "--prove", ...args]).ended,
    (exit) => !busy(exit),
    90_000,
  );
}

/** A proof in its first step, with the table lowered; and all of its processes. */
async function startedProof(): Promise<{ run: Run; trace: Trace; pids: number[] }> {
  let run = cli(["doctor", "--prove"]);
  await until(
    "the table is lowered and connections are open",
    () => {
      if (run.process.exitCode === 3) run = cli(["doctor", "--prove"]);
      return {
        maximum: readMaximum(),
        stdout: run.stdout,
        stderr: run.stderr,
        children: descendants(run.process.pid!),
      };
    },
    // A keeper, a step process and its four holders.
    ({ maximum, children }) => maximum === "5000" && children.length === 6,
    90_000,
  );
  const trace = JSON.parse(readFileSync(TRACE_PATH, "utf8")) as Trace;
  return { run, trace, pids: descendants(run.process.pid!) };
}

const allGone = (pids: readonly number[]): Promise<number[]> =>
  until(
    "every process has ended",
    () => living(pids),
    (left) => left.length === 0,
  );

describe("doctor --prove", { skip }, () => {
  const before = skip === false && existsSync(MAXIMUM) ? readMaximum() : "";
  after(() => {
    // A failed test must not leave a lowered value on the machine.
    if (before !== "" && readMaximum() !== before) writeFileSync(MAXIMUM, before);
  });

  it("shows the limit exactly at the table's size, and that it is gone without tracking and with a larger table", async () => {
    const { code, stdout, stderr } = await proveWhenIdle("--json");
    assert.equal(code, 0, stderr);
    const proof = JSON.parse(stdout) as ProofResult;
    assert.equal(proof.schema, "megagate.proof.v1");
    const counts = proof.acts.map(({ finding }) => [
      finding.open,
      finding.tracked,
      finding.established,
      finding.errors,
    ]);
    assert.deepEqual(counts, [
      [5000, 5000, 10_000, {}],
      [7000, 0, 14_000, {}],
      [7000, 7000, 14_000, {}],
    ]);
    const timedOut = proof.acts.map(({ finding }) => finding.timedOut);
    assert.ok(timedOut[0]! > 0 && timedOut[1] === 0 && timedOut[2] === 0, String(timedOut));
    assert.ok(proof.acts[0]!.finding.dropped! > 0);
    assert.match(stderr, /1\. tracking live, table of 5,000[\s\S]*nf_conntrack_max is \d+ again/);
    assert.equal(readMaximum(), before);
    assert.equal(existsSync(TRACE_PATH), false);
  });

  it("killed: its keeper restores the value and ends, and so does every other process", async () => {
    const { run, pids } = await startedProof();
    run.process.kill("SIGKILL");
    await run.ended;
    await until("the value is restored", readMaximum, (maximum) => maximum === before);
    await allGone(pids);
    assert.equal(existsSync(TRACE_PATH), false);
  });

  it("Ctrl-C in the terminal: every process of the group gets the signal, and the value is restored before it exits with 130", async () => {
    const { run, pids } = await startedProof();
    for (const pid of [...pids, run.process.pid!]) process.kill(pid, "SIGINT");
    const { code, stderr } = await run.ended;
    assert.equal(code, 130, stderr);
    assert.equal(readMaximum(), before);
    await allGone(pids);
  });

  it("refuses to run next to another, which is not disturbed", async () => {
    const { run } = await startedProof();
    const second = await cli(["doctor", "--prove"]).ended;
    assert.equal(second.code, 3);
    assert.match(second.stderr, /another .* is running/);
    assert.equal((await run.ended).code, 0);
    assert.equal(readMaximum(), before);
  });

  it("killed with its keeper: doctor names the remedy, and the next proof restores the value", async () => {
    const { run, trace, pids } = await startedProof();
    process.kill(trace.keeper, "SIGKILL");
    run.process.kill("SIGKILL");
    await run.ended;
    await allGone(pids);
    assert.equal(readMaximum(), "5000");
    const { stderr } = await cli(["doctor", "--connections", "1"]).ended;
    assert.match(stderr, new RegExp(`it was ${before}.*sysctl -w net\\.netfilter\\.nf_conntrack_max=${before}`));
    const { code, stdout } = await proveWhenIdle("--json");
    assert.equal(code, 0);
    assert.equal((JSON.parse(stdout) as ProofResult).maximumBefore, Number(before));
    assert.equal(readMaximum(), before);
    assert.equal(existsSync(TRACE_PATH), false);
  });

  it("keeper killed alone: the proof fails with a sentence and restores the value itself", async () => {
    const { run, trace, pids } = await startedProof();
    process.kill(trace.keeper, "SIGKILL");
    const { code, stderr } = await run.ended;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /keeper of nf_conntrack_max ended/);
    assert.equal(readMaximum(), before);
    await allGone(pids);
  });

  it("in a container's network namespace, where the value is read-only, it names where to run", async () => {
    const namespace = new URL("../../sysctl/prove/namespace.js", import.meta.url).href;
    const script = `import { spawnSync } from "node:child_process";
      const { enterNewNamespace } = await import("${namespace}");
      enterNewNamespace();
      const { status } = spawnSync(process.execPath, ["${CLI}", "doctor", "--prove"], { stdio: "inherit" });
      process.exit(status);`;
    const args = ["--input-type=module", "--eval", script];
    const { code, stderr } = await new Run(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })).ended;
    assert.equal(code, 3, stderr);
    assert.match(stderr, /cannot be set here \(E\w+\).*host's first network namespace/);
    assert.equal(existsSync(TRACE_PATH), false);
  });

  it("without root it says so, and changes nothing", async () => {
    const nobody = { uid: 65_534, gid: 65_534, stdio: ["ignore", "pipe", "pipe"] } as const;
    const { code, stderr } = await new Run(
      spawn(process.execPath, [CLI, "doctor", "--prove"], { ...nobody, stdio: [...nobody.stdio] }),
    ).ended;
    assert.equal(code, 3, stderr);
    assert.match(stderr, /needs root/);
  });
});
