/**
 * Runs tests: `node dist/test/run.js [--all] [--watch] [KIND|FOLDER|FILE]…`, from the root of the repository, after a build. Without
 * names it runs what a change usually needs (`make test`), with --all everything at full depth (`make check`); test/plan.ts says
 * how each file is run. A file that passes takes a line, one that fails is printed whole; the last lines say what matters.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { choose, type Job, jobOf, jobsOf } from "./plan.js";
import { type Outcome, runJob, stopJobs } from "./runner/job.js";
import { conclude, type Flaky, runAgain, seedsIn } from "./runner/verdict.js";

/** Most files wait more than they compute: a gateway starts, a timer runs out. */
const SIDE_BY_SIDE = availableParallelism() + 2;
/** Jobs of one file print all; of a batch only what failed, below the line that its reporter begins that with. */
const FAILING = "✖ failing tests:";

let isStopped = false;

const sources = (): string[] =>
  readdirSync("test", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `test/${name}`)
    .sort();

function printed({ job, seconds, tests, failed, output }: Outcome): void {
  const counts = `${tests} test${tests === 1 ? "" : "s"}`;
  console.log(`${failed.length === 0 ? "✔" : "✖"} ${job.title}  ${counts}, ${seconds.toFixed(1)} s`);
  if (failed.length === 0) return;
  const from = job.files.length === 1 ? -1 : output.indexOf(FAILING);
  console.log(output.slice(Math.max(0, from)).replaceAll(/^/gm, "  │ "));
}

async function runAll(jobs: readonly Job[], env: NodeJS.ProcessEnv): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const run = async (job: Job): Promise<void> => {
    if (isStopped) return;
    const outcome = await runJob(job, env);
    outcomes.push(outcome);
    printed(outcome);
  };
  const shared = jobs.filter(({ alone }) => alone === undefined);
  const next = shared.values();
  const lane = async (): Promise<void> => {
    for (const job of next) await run(job);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
  for (const job of jobs) if (job.alone !== undefined) await run(job);
  return outcomes;
}

/** What has failed once, run once more; what passes then counts as passed, and is named. */
async function again(outcomes: readonly Outcome[], env: NodeJS.ProcessEnv): Promise<{ all: Outcome[]; flaky?: Flaky }> {
  const file = runAgain(outcomes, (path) => readFileSync(path, "utf8"));
  if (file === undefined || isStopped) return { all: [...outcomes] };
  const first = outcomes.find(({ failed }) => failed.length > 0)!;
  console.log(`${file} has failed, and is run once more, alone`);
  const second = await runJob(jobOf(file), env);
  printed(second);
  const all = [
    ...outcomes.filter((one) => one !== first),
    { ...first, failed: [] },
    { ...second, tests: 0, skipped: [] },
  ];
  return second.failed.length > 0
    ? { all }
    : { all, flaky: { file, first: first.failed, seeds: seedsIn(first.output) } };
}

/** Compiles whenever a source changes, and runs the file whenever what it imports has changed, until Ctrl-C. */
function watch(file: string): void {
  const compiled = `dist/${file.replace(/\.ts$/, ".js")}`;
  const programs = [
    ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json", "--watch", "--preserveWatchOutput"],
    ["--watch", "--enable-source-maps", "--test-reporter=spec", compiled],
  ];
  const children: ChildProcess[] = programs.map((args) => spawn(process.execPath, args, { stdio: "inherit" }));
  const end = (): void => {
    for (const child of children) child.kill("SIGTERM");
  };
  for (const child of children) child.once("exit", end);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
}

async function main(): Promise<number> {
  const startMs = performance.now();
  const options = { all: { type: "boolean", default: false }, watch: { type: "boolean", default: false } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const files = choose(sources(), { names: positionals, everything: values.all });
  if (values.watch) {
    if (files.length !== 1) throw new Error("--watch takes one test file, such as test/unit/flow.test.ts");
    watch(files[0]!);
    return 0;
  }
  const stop = (): void => {
    isStopped = true;
    stopJobs();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  // Whoever read the output has left.
  process.stdout.on("error", stop);
  const env = values.all ? { THOROUGH: process.env.THOROUGH ?? "1" } : {};
  const { all, flaky } = await again(await runAll(jobsOf(files), env), env);
  const seconds = (performance.now() - startMs) / 1000;
  const { lines, passed } = conclude({ outcomes: all, flaky, seconds, noSkips: process.env.NO_SKIPS === "1" });
  console.log(lines.join("\n"));
  if (isStopped) console.log("stopped before the end");
  return passed && !isStopped ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
