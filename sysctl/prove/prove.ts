/**
 * `megagate doctor --prove`: shows the 262,144-entry conntrack limit (26w) and its two cures on this machine, in three steps. It
 * refuses where it could disturb other programs. A keeper process changes the one host-wide value (nf_conntrack_max) and restores
 * it whatever happens to this process. Runs in the command line; child processes do the work (messages.ts draws them).
 */
import { availableParallelism, release } from "node:os";
import { GatewayError } from "../../src/errors.js";
import { MachineReader } from "../kernel/machine.js";
import { openProcSys } from "../kernel/proc-sys.js";
import { refuseUnless } from "./conditions.js";
import { trackedAnywhere } from "./counters.js";
import { Keeper } from "./keeping.js";
import { KernelLog } from "./kernel-log.js";
import { describeProgress, describeStart, describeStep, describeTable, type Output, Screen } from "./report.js";
import { runStep } from "./run-step.js";
import { CONNECT_TIMEOUT_MS, FULL, holdersFor, type ProofSize, QUICK } from "./sizes.js";
import { currentMaximum, isProofRunning, leftover } from "./trace.js";
import { type ProofStep, proofSteps, type StepResult, shortfalls } from "./verdict.js";

export interface ProveOptions {
  /** At 262,144 connections, which takes memory and one to three minutes, instead of at a quick size. */
  readonly full: boolean;
  /** Shows the steps while they run. */
  readonly stdout: Output;
}

/** Public: `doctor --prove --json` prints it, so its fields keep their names ("acts" are the steps). */
export interface ProofResult {
  readonly schema: "megagate.proof.v1";
  readonly startedAt: string;
  readonly host: { readonly kernel: string; readonly cores: number; readonly node: string };
  readonly full: boolean;
  /** Connections asked for in every step. */
  readonly connections: number;
  /** Processes on each side, and the descriptors that each may have. */
  readonly holders: number;
  readonly nofile: number;
  readonly acts: readonly StepResult[];
  /** nf_conntrack_max before the proof, and again after it. */
  readonly maximumBefore: number;
  readonly seconds: number;
}

/**
 * Throws `refused` where missing root rights, the kernel, memory or connections of other programs forbid it, `failed` if a step
 * did not show exactly what it should, `interrupted` after Ctrl-C. The kernel is as before whenever this settles.
 */
export async function prove({ full, stdout }: ProveOptions): Promise<ProofResult> {
  const size = full ? FULL : QUICK;
  const limits = new MachineReader().limits();
  const host = openProcSys();
  refuseUnless(
    {
      root: host.isRoot,
      maximum: currentMaximum(host),
      inUse: trackedAnywhere(),
      nofile: limits.nofileHard,
      freeBytes: limits.freeBytes,
      isRunning: isProofRunning(),
      leftover: leftover(),
    },
    size,
  );
  const startedAt = new Date().toISOString();
  const startedMs = performance.now();
  const holders = holdersFor(size.connections, limits.nofileHard);
  stdout.write(describeStart(size, full));
  const { steps, before } = await borrowing(async (keeper, interrupt) => {
    const log = KernelLog.open();
    try {
      return await runAll({ size, holders, screen: new Screen(stdout), keeper, log, interrupt });
    } finally {
      log.close();
    }
  });
  stdout.write(`\n${describeTable(steps, size.connections)}`);
  judgeAll(steps, size);
  const seconds = Number(((performance.now() - startedMs) / 1000).toFixed(1));
  stdout.write(`\nShown in ${seconds} s; nf_conntrack_max is ${before} again.\n`);
  return {
    schema: "megagate.proof.v1",
    startedAt,
    host: { kernel: release(), cores: availableParallelism(), node: process.version },
    full,
    connections: size.connections,
    holders,
    nofile: limits.nofileHard,
    acts: steps,
    maximumBefore: Number(before),
    seconds,
  };
}

/** Runs `work` with a keeper and with Ctrl-C as an orderly way to end; afterwards the keeper has restored the value. */
async function borrowing(
  work: (keeper: Keeper, interrupt: AbortSignal) => Promise<StepResult[]>,
): Promise<{ steps: StepResult[]; before: string }> {
  const interrupt = new AbortController();
  const onSignal = (): void => interrupt.abort(new GatewayError("interrupted"));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const keeper = await Keeper.start();
    try {
      return { steps: await work(keeper, interrupt.signal), before: keeper.before };
    } finally {
      await keeper.end();
    }
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** What every step of one proof shares. */
interface ProofContext {
  readonly size: ProofSize;
  readonly holders: number;
  readonly screen: Screen;
  readonly keeper: Keeper;
  readonly log: KernelLog;
  readonly interrupt: AbortSignal;
}

async function runAll(context: ProofContext): Promise<StepResult[]> {
  const results: StepResult[] = [];
  for (const [i, step] of proofSteps(context.size).entries()) {
    context.screen.print(`\n${i + 1}. ${step.title}\n`);
    results.push(await runOne(step, context));
  }
  return results;
}

async function runOne(step: ProofStep, context: ProofContext): Promise<StepResult> {
  const { size, holders, screen, keeper, log, interrupt } = context;
  await keeper.set(step.maximum);
  const { connections, stepSeconds } = size;
  const config = { tracked: step.tracked, connections, holders, connectTimeoutMs: CONNECT_TIMEOUT_MS };
  // Discards lines of before the step.
  log.tableFull();
  const finding = await runStep(config, { seconds: stepSeconds, interrupt }, (counts) =>
    screen.show(describeProgress(counts, connections)),
  );
  const result = { ...step, finding, kernelLine: log.tableFull() };
  screen.print(describeStep(result, connections));
  return result;
}

function judgeAll(results: readonly StepResult[], { connections }: ProofSize): void {
  const reasons = results.flatMap((step, i) =>
    shortfalls(step, connections).map((why) => `step ${i + 1} (${step.title}): ${why}`),
  );
  if (reasons.length > 0)
    throw new GatewayError("failed", ["the proof did not show what it should", ...reasons].join("\n"));
}
