/**
 * A rolling restart: worker by worker, the new process first. It listens beside the old one, so that there is never less
 * room than before; then the old one leaves the port, sends its clients away at the pace at which they can be taken back,
 * and ends; the next is not touched before those clients have settled elsewhere. A new process that does not come up
 * ends it all: the old ones stay. Supervisor only.
 */

import { tellWithinMs } from "../drain/goodbye.js";
import { GatewayError } from "../errors.js";
import type { Log } from "../log.js";
import { endedInAll, type Load, type RollState } from "./control-channel.js";
import type { Worker, WorkerPool } from "./worker-pool.js";

/** From fork to listening; half a second is usual. */
const START_MS = 30_000;
/** A hub that hangs is replaced by then, and knows its workers again; see --hung-seconds. */
const HUB_AWAY_MS = 180_000;
/** Beyond the window that the clients were given, and while nobody comes: a handshake, and counters that are a second old. */
const SETTLE_MS = 3000;
/** Clients that are back, of those that were there before; the rest may have left for good. */
const SETTLED_SHARE = 0.99;
/** Handshakes in flight for each thousand connections that are no storm. */
const HANDSHAKES_EACH_1000 = 5;
const POLL_MS = 50;
export interface RollingRestartDeps {
  readonly log: Log;
  readonly stopSeconds: number;
  /** Connections a second that the gateway takes back. */
  returnRate(): number;
  /** The hub's last word about all workers; undefined while it is away, or silent. */
  load(): Load | undefined;
  /** The gateway stops: everything else does too. */
  stopping(): boolean;
  tell(roll: RollState): void;
}

/** Throws `draining` when the gateway stops meanwhile, `failed` when a new process does not come up. */
export async function rollWorkers(pool: WorkerPool, deps: RollingRestartDeps): Promise<void> {
  const old = [...pool.workers];
  const progress = (replaced: number, detail: string): void =>
    deps.tell({ state: "rolling", replaced, of: old.length, detail });
  for (const [replaced, worker] of old.entries()) {
    await untilSeen(pool, deps);
    progress(replaced, `starting a process to replace worker ${worker.slot}`);
    const fresh = await start(pool, deps);
    const before = (await untilSeen(pool, deps, fresh)).connections;
    progress(replaced, `worker ${fresh.slot} serves; the clients of worker ${worker.slot} are sent away`);
    await drainWorker(pool, worker, deps);
    progress(replaced + 1, `worker ${worker.slot} has ended; its clients settle`);
    const settled = await settle(pool, worker, before, deps);
    deps.log("info", "worker replaced", {
      worker: worker.slot,
      by: fresh.slot,
      pid: fresh.child.pid,
      replaced: replaced + 1,
      of: old.length,
      settled,
    });
  }
}

/** What the hub knows; undefined while it is away or has not heard from every worker (but `fresh`) since it came back. */
function seen(pool: WorkerPool, deps: RollingRestartDeps, fresh?: Worker): Load | undefined {
  const load = deps.load();
  const serving = pool.workers.filter((worker) => worker.up && worker !== fresh);
  return load !== undefined && load.counted >= serving.length ? load : undefined;
}

/** Nobody is sent away while nobody could see whether the clients come back. */
async function untilSeen(pool: WorkerPool, deps: RollingRestartDeps, fresh?: Worker): Promise<Load> {
  const isSeen = (): boolean => seen(pool, deps, fresh) !== undefined;
  if (!(await until(isSeen, within(SETTLE_MS), deps))) {
    deps.log("warn", "the rolling restart waits until the hub is back and has heard from every worker");
    await until(isSeen, within(HUB_AWAY_MS), deps);
  }
  return seen(pool, deps, fresh) ?? blind();
}

function blind(): never {
  const why = `the hub has been away for ${HUB_AWAY_MS / 1000} s, so nobody sees whether clients come back`;
  const remedy = "The workers that are left stay as they are; try again when /readyz says ready";
  throw new GatewayError("failed", `${why}. ${remedy}`);
}

async function start(pool: WorkerPool, deps: RollingRestartDeps): Promise<Worker> {
  const deaths: number[] = [];
  const fresh = pool.spawn(() => deaths.push(performance.now()));
  await until(() => fresh.child.ready || deaths.length > 0, within(START_MS), deps);
  if (fresh.child.ready) return fresh;
  pool.remove(fresh);
  const why =
    deaths.length > 0
      ? "died while it started; the log of the gateway says why"
      : `was not ready within ${START_MS} ms`;
  throw new GatewayError("failed", `the new process for worker ${fresh.slot} ${why}. The others go on as they were`);
}

async function drainWorker(pool: WorkerPool, worker: Worker, deps: RollingRestartDeps): Promise<void> {
  const withinMs = tellWithinMs(deps.stopSeconds);
  const drain = { reason: "restart", among: 1, perSecond: deps.returnRate(), withinMs } as const;
  const cut = await pool.replace(worker, deps.stopSeconds * 1000, drain);
  if (cut) deps.log("warn", "worker was not done within --stop-seconds; its clients were cut", { worker: worker.slot });
}

/** False when not everybody came back though nobody is still coming: some may have left for good. */
async function settle(pool: WorkerPool, worker: Worker, before: number, deps: RollingRestartDeps): Promise<boolean> {
  const ended = endedInAll(pool.ended);
  let max = 0;
  let endMs = performance.now() + worker.windowMs + SETTLE_MS;
  let seenMs = performance.now();
  const settled = (): boolean => {
    const load = seen(pool, deps);
    if (!load) {
      if (performance.now() - seenMs > HUB_AWAY_MS) blind();
      // The time in which nobody sees anything does not count.
      endMs = Math.max(endMs, performance.now() + SETTLE_MS);
      return false;
    }
    seenMs = performance.now();
    if (load.ended < ended) return false;
    if (load.connections > max) {
      max = load.connections;
      endMs = Math.max(endMs, performance.now() + SETTLE_MS);
    }
    const calm = load.handshakes <= 1 + (before / 1000) * HANDSHAKES_EACH_1000;
    return calm && load.connections >= before * SETTLED_SHARE;
  };
  return await until(settled, () => endMs, deps);
}

async function until(holds: () => boolean, endMs: () => number, deps: RollingRestartDeps): Promise<boolean> {
  for (;;) {
    if (deps.stopping()) throw new GatewayError("draining");
    if (holds()) return true;
    if (performance.now() >= endMs()) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function within(ms: number): () => number {
  const endMs = performance.now() + ms;
  return () => endMs;
}

export class Roller {
  #state: RollState = { state: "none", replaced: 0, of: 0, detail: "no rolling restart so far" };

  constructor(private readonly deps: RollingRestartDeps) {}

  get state(): RollState {
    return this.#state;
  }

  /** Begins one, unless another is running or there is a `refusal` for other reasons. */
  roll(pool: WorkerPool, why: string, refusal: string | undefined): void {
    const isRolling = this.#state.state === "rolling";
    const no = refusal ?? (isRolling ? "another one is running" : undefined);
    if (no !== undefined) {
      this.deps.log("warn", `no rolling restart: ${no}`, { why });
      // The hub took it for begun: it hears how things are.
      this.#become(isRolling ? this.#state : { state: "failed", replaced: 0, of: 0, detail: no });
      return;
    }
    const of = pool.workers.length;
    this.deps.log("info", "rolling restart begins", { workers: of, why });
    this.#become({ state: "rolling", replaced: 0, of, detail: "begins" });
    rollWorkers(pool, { ...this.deps, tell: (roll) => this.#become(roll) }).then(
      () => {
        this.deps.log("info", "rolling restart done", { workers: of });
        this.#become({ state: "done", replaced: of, of, detail: "every worker is a new process" });
      },
      (error: unknown) => {
        const detail = error instanceof Error ? error.message : String(error);
        this.deps.log("error", `rolling restart ended early: ${detail}`, { replaced: this.#state.replaced, of });
        this.#become({ ...this.#state, state: "failed", detail });
      },
    );
  }

  #become(state: RollState): void {
    this.#state = state;
    this.deps.tell(state);
  }
}
