/**
 * A rolling restart: worker by worker, the new process first. Old and new listen on the same port, so that there is never
 * less room than before; then the old one leaves the port, sends its clients away at the rate at which they can be taken
 * back, and ends. The next worker is not touched before those clients have settled elsewhere. If a new process does not
 * come up, the restart ends and the old ones stay. Each step is reported to the hub, whose admin port shows it, and logged.
 * Supervisor only.
 */

import { goodbyesWithinMs } from "../drain/goodbye.js";
import { GatewayError } from "../errors.js";
import type { Log } from "../log.js";
import { endedInAll, type Load, type RollState } from "./control-channel.js";
import type { Worker, WorkerPool } from "./worker-pool.js";

/** From fork to listening; half a second is usual. */
const START_MS = 30_000;
/** By then a hub that hangs is replaced, and its workers are linked again; see --hung-seconds. */
const HUB_AWAY_MS = 180_000;
/** Waited beyond the window that the clients were given: for a handshake, and for counters that are a second old. */
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
  /** The hub's last report about all workers; undefined while it is away, or silent. */
  load(): Load | undefined;
  /** The gateway stops, and the restart with it. */
  stopping(): boolean;
  onProgress(roll: RollState): void;
}

/** Throws `draining` when the gateway stops meanwhile, `failed` when a new process does not come up. */
export async function rollWorkers(pool: WorkerPool, deps: RollingRestartDeps): Promise<void> {
  const old = [...pool.workers];
  const progress = (replaced: number, detail: string): void =>
    deps.onProgress({ state: "rolling", replaced, of: old.length, detail });
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

/** The hub's sums; undefined while it is away or has no counters of some worker (but `fresh`) since it came back. */
function seen(pool: WorkerPool, deps: RollingRestartDeps, fresh?: Worker): Load | undefined {
  const load = deps.load();
  const serving = pool.workers.filter((worker) => worker.up && worker !== fresh);
  return load !== undefined && load.counted >= serving.length ? load : undefined;
}

/** No client is sent away while the hub cannot see whether clients come back. */
async function untilSeen(pool: WorkerPool, deps: RollingRestartDeps, fresh?: Worker): Promise<Load> {
  const isSeen = (): boolean => seen(pool, deps, fresh) !== undefined;
  if (!(await until(isSeen, within(SETTLE_MS), deps))) {
    deps.log("warn", "the rolling restart waits until the hub is back and has heard from every worker");
    await until(isSeen, within(HUB_AWAY_MS), deps);
  }
  return seen(pool, deps, fresh) ?? blind();
}

function blind(): never {
  const why = `the hub has been away for ${HUB_AWAY_MS / 1000} s, so nothing shows whether clients come back`;
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
  const withinMs = goodbyesWithinMs(deps.stopSeconds);
  const drain = { reason: "restart", among: 1, perSecond: deps.returnRate(), withinMs } as const;
  const cut = await pool.replace(worker, deps.stopSeconds * 1000, drain);
  if (cut) deps.log("warn", "worker was not done within --stop-seconds; its clients were cut", { worker: worker.slot });
}

/** False when not all clients came back although none is still coming: some may have left for good. */
async function settle(pool: WorkerPool, worker: Worker, before: number, deps: RollingRestartDeps): Promise<boolean> {
  const ended = endedInAll(pool.ended);
  let max = 0;
  let endMs = performance.now() + worker.windowMs + SETTLE_MS;
  let seenMs = performance.now();
  const settled = (): boolean => {
    const load = seen(pool, deps);
    if (!load) {
      if (performance.now() - seenMs > HUB_AWAY_MS) blind();
      // Time without the hub's sums does not count.
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

export class RollingRestart {
  #state: RollState = { state: "none", replaced: 0, of: 0, detail: "no rolling restart so far" };

  readonly #deps: RollingRestartDeps;

  constructor(deps: RollingRestartDeps) {
    this.#deps = deps;
  }

  get state(): RollState {
    return this.#state;
  }

  /** Begins one, unless another is running or there is a `refusal` for other reasons. */
  begin(pool: WorkerPool, why: string, refusal: string | undefined): void {
    const isRolling = this.#state.state === "rolling";
    const no = refusal ?? (isRolling ? "another one is running" : undefined);
    if (no !== undefined) {
      this.#deps.log("warn", `no rolling restart: ${no}`, { why });
      // The hub believes that it began: correct that.
      this.#become(isRolling ? this.#state : { state: "failed", replaced: 0, of: 0, detail: no });
      return;
    }
    const of = pool.workers.length;
    this.#deps.log("info", "rolling restart begins", { workers: of, why });
    this.#become({ state: "rolling", replaced: 0, of, detail: "begins" });
    rollWorkers(pool, { ...this.#deps, onProgress: (roll) => this.#become(roll) }).then(
      () => {
        this.#deps.log("info", "rolling restart done", { workers: of });
        this.#become({ state: "done", replaced: of, of, detail: "every worker is a new process" });
      },
      (error: unknown) => {
        const detail = error instanceof Error ? error.message : String(error);
        this.#deps.log("error", `rolling restart ended early: ${detail}`, { replaced: this.#state.replaced, of });
        this.#become({ ...this.#state, state: "failed", detail });
      },
    );
  }

  #become(state: RollState): void {
    this.#state = state;
    this.#deps.onProgress(state);
  }
}
