/**
 * Runs one job of the plan, a test file or a batch of them, as a process in a group of its own, which is ended as a whole when it
 * takes too long or the runner is told to stop. Its output is kept until it is known whether anybody wants to read it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Job } from "../plan.js";
import type { Failure, Line, Skip } from "./reporter.js";

export type FailedTest = Omit<Failure, "suite"> & {
  /** Undefined where the process of several files ended in a way that names none of them. */
  readonly file: string | undefined;
};
export type SkippedTest = Omit<Skip, "suite"> & { readonly file: string };

export interface Outcome {
  readonly job: Job;
  readonly seconds: number;
  readonly tests: number;
  readonly failed: readonly FailedTest[];
  readonly skipped: readonly SkippedTest[];
  readonly output: string;
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
/** For what the process has printed to arrive, where a child of a test holds its output open. */
const LAST_OUTPUT_MS = 2000;
const GRACE_MS = 5000;
/** Of the output of a process that did not say which test failed. */
const TAIL_LINES = 20;

const running = new Set<ChildProcess>();

/** Ends whatever runs; for signals. */
export function stopJobs(): void {
  for (const child of running) signalGroup(child, "SIGTERM");
}

export async function runJob(job: Job, env: NodeJS.ProcessEnv): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "megagate-tests-"));
  const report = join(folder, "report");
  const startMs = performance.now();
  try {
    const { output, ending } = await ended(start(job, report, env), job.limitSeconds);
    const lines = readLines(report);
    return { job, seconds: (performance.now() - startMs) / 1000, output, ...outcomeOf(job, lines, { ending, output }) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(job: Job, report: string, env: NodeJS.ProcessEnv): ChildProcess {
  const reporters = ["spec", "stdout", join(HERE, "reporter.js"), report].map(
    (value, i) => `--test-reporter${i % 2 === 0 ? "" : "-destination"}=${value}`,
  );
  const program =
    job.files.length === 1
      ? [join("dist", job.files[0]!.replace(/\.ts$/, ".js"))]
      : [join(HERE, "batch.js"), ...job.files];
  const child = spawn(process.execPath, ["--enable-source-maps", ...reporters, ...program], {
    // The variable is node:test's own: with it the process would report to a runner that is not there.
    env: { ...process.env, ...env, NODE_TEST_CONTEXT: undefined },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  running.add(child);
  return child;
}

/** The whole output, and how the process ended if that was not with 0. */
async function ended(
  child: ChildProcess,
  limitSeconds: number,
): Promise<{ output: string; ending: string | undefined }> {
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const limit = new AbortController();
  const timers = [
    setTimeout(() => {
      limit.abort();
      signalGroup(child, "SIGTERM");
      timers.push(setTimeout(() => signalGroup(child, "SIGKILL"), GRACE_MS));
    }, limitSeconds * 1000),
  ];
  const closed = new Promise((resolve) => child.once("close", resolve));
  const ending = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code === 0 ? undefined : signal ? `by ${signal}` : `with ${code}`));
  });
  running.delete(child);
  for (const timer of timers) clearTimeout(timer);
  let last: NodeJS.Timeout | undefined;
  await Promise.race([closed, new Promise((resolve) => (last = setTimeout(resolve, LAST_OUTPUT_MS)))]);
  clearTimeout(last);
  for (const stream of [child.stdout!, child.stderr!]) stream.destroy();
  const output = Buffer.concat(chunks).toString();
  return { output, ending: limit.signal.aborted ? `because it took longer than ${limitSeconds} s` : ending };
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}

function readLines(path: string): Line[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Line);
  } catch {
    return [];
  }
}

/** What the reporter's lines and the process's end mean together: whoever ends early, or not with 0, has failed. */
export function outcomeOf(
  { files }: Pick<Job, "files">,
  lines: readonly Line[],
  { ending, output = "" }: { readonly ending: string | undefined; readonly output?: string },
): Pick<Outcome, "tests" | "failed" | "skipped"> {
  const only = files.length === 1 ? files[0] : undefined;
  const fileOf = (suite: string): string | undefined => only ?? files.find((file) => file === suite);
  // In a batch the name begins with the suite that is the file.
  const nameOf = ({ suite, name }: { suite: string; name: string }): string =>
    only === undefined && name.startsWith(`${suite} > `) ? name.slice(suite.length + 3) : name;
  const failed: FailedTest[] = [];
  const skipped: SkippedTest[] = [];
  let tests: number | undefined;
  for (const line of lines) {
    if (line.type === "end") tests = line.tests;
    else if (line.type === "failed") failed.push({ file: fileOf(line.suite), name: nameOf(line), error: line.error });
    else skipped.push({ file: fileOf(line.suite) ?? line.suite, name: nameOf(line), reason: line.reason });
  }
  const how = tests === undefined ? "before its tests were done" : "though each of its tests passed";
  if (failed.length === 0 && (ending !== undefined || tests === undefined)) {
    const tail = output.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
    failed.push({ file: only, name: "the process", error: `it ended ${ending ?? "with 0"}, ${how}\n${tail}` });
  }
  return { tests: tests ?? 0, failed, skipped };
}
