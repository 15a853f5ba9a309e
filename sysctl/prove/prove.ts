/**
 * `megagate doctor --prove`: shows the "26w" wall and its two cures on this machine, in three acts. Refuses where it
 * could disturb anybody; a keeper holds the one host-wide value that it borrows (nf_conntrack_max) and puts it back
 * whatever becomes of this process. Runs in the command line; children do the work (messages.ts draws them).
 */
import { availableParallelism, release } from "node:os";
import { GatewayError } from "../../src/errors.js";
import { Host as Limits } from "../kernel/machine.js";
import { openHost } from "../kernel/proc-sys.js";
import { play } from "./act.js";
import { refuseUnless } from "./conditions.js";
import { trackedAnywhere } from "./counters.js";
import { Keeper } from "./keeping.js";
import { KernelLog } from "./kernel-log.js";
import { describeAct, describeProgress, describeStart, describeTable, type Output, Screen } from "./report.js";
import { CONNECT_TIMEOUT_MS, FULL, holdersFor, QUICK, type Size } from "./sizes.js";
import { currentMaximum, leftover, proofAtWork } from "./trace.js";
import { type Act, actsOf, type Played, shortfalls } from "./verdict.js";

export interface ProveOptions {
  /** At 262,144, which takes memory and one to three minutes, instead of at a quick size. */
  readonly full: boolean;
  /** Where the acts are shown as they happen. */
  readonly stdout: Output;
}

export interface ProofResult {
  readonly schema: "megagate.proof.v1";
  readonly startedAt: string;
  readonly host: { readonly kernel: string; readonly cores: number; readonly node: string };
  readonly full: boolean;
  /** Connections asked for in every act. */
  readonly connections: number;
  /** Processes on each side, and the descriptors each may have. */
  readonly holders: number;
  readonly nofile: number;
  readonly acts: readonly Played[];
  /** nf_conntrack_max as it was, and is again. */
  readonly maximumBefore: number;
  readonly seconds: number;
}

/**
 * Throws `refused` where root, the kernel, memory or other people's connections forbid it, `failed` when an act did not
 * show exactly what it should, `interrupted` after Ctrl-C. The kernel is as it was whenever this settles.
 */
export async function prove({ full, stdout }: ProveOptions): Promise<ProofResult> {
  const size = full ? FULL : QUICK;
  const limits = new Limits().facts();
  const host = openHost();
  refuseUnless(
    {
      root: host.isRoot,
      maximum: currentMaximum(host),
      inUse: trackedAnywhere(),
      nofile: limits.nofileHard,
      freeBytes: limits.freeBytes,
      atWork: proofAtWork(),
      leftover: leftover(),
    },
    size,
  );
  const startedAt = new Date().toISOString();
  const startedMs = performance.now();
  const holders = holdersFor(size.connections, limits.nofileHard);
  stdout.write(describeStart(size, full));
  const { acts, before } = await borrowing(async (keeper, interrupt) => {
    const log = KernelLog.open();
    try {
      return await playAll({ size, holders, screen: new Screen(stdout), keeper, log, interrupt });
    } finally {
      log.close();
    }
  });
  stdout.write(`\n${describeTable(acts, size.connections)}`);
  judge(acts, size);
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
    acts,
    maximumBefore: Number(before),
    seconds,
  };
}

/** Runs with a keeper, and with Ctrl-C as a way to an orderly end; the keeper has put the value back afterwards. */
async function borrowing(
  work: (keeper: Keeper, interrupt: AbortSignal) => Promise<Played[]>,
): Promise<{ acts: Played[]; before: string }> {
  const interrupt = new AbortController();
  const onSignal = (): void => interrupt.abort(new GatewayError("interrupted"));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const keeper = await Keeper.start();
    try {
      return { acts: await work(keeper, interrupt.signal), before: keeper.before };
    } finally {
      await keeper.end();
    }
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

interface Theatre {
  readonly size: Size;
  readonly holders: number;
  readonly screen: Screen;
  readonly keeper: Keeper;
  readonly log: KernelLog;
  readonly interrupt: AbortSignal;
}

async function playAll(theatre: Theatre): Promise<Played[]> {
  const played: Played[] = [];
  for (const [i, act] of actsOf(theatre.size).entries()) {
    theatre.screen.print(`\n${i + 1}. ${act.title}\n`);
    played.push(await playOne(act, theatre));
  }
  return played;
}

async function playOne(act: Act, { size, holders, screen, keeper, log, interrupt }: Theatre): Promise<Played> {
  await keeper.set(act.maximum);
  const { connections, actSeconds } = size;
  const scene = { tracked: act.tracked, connections, holders, connectTimeoutMs: CONNECT_TIMEOUT_MS };
  log.tableFull();
  const finding = await play(scene, { seconds: actSeconds, interrupt }, (counts) =>
    screen.show(describeProgress(counts, connections)),
  );
  const played = { ...act, finding, kernelLine: log.tableFull() };
  screen.print(describeAct(played, connections));
  return played;
}

function judge(acts: readonly Played[], { connections }: Size): void {
  const reasons = acts.flatMap((act, i) =>
    shortfalls(act, connections).map((why) => `act ${i + 1} (${act.title}): ${why}`),
  );
  if (reasons.length > 0)
    throw new GatewayError("failed", ["the mechanism did not show as it should", ...reasons].join("\n"));
}
