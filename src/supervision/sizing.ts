/** How many workers there are, and how much each may hold: decided once, at the start, from the configuration and the kernel. */
import { type Ceiling, ceilingOf } from "../admission/ceiling.js";
import {
  type Cap,
  type CapLimit,
  DESCRIPTOR_RESERVE,
  fullestWorker,
  MAX_WORKERS,
  tightestCap,
  WORKER_OWN_DESCRIPTORS,
  workerCap,
  workersFor,
} from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import type { MachineProbe } from "./machine-monitor.js";
import { raiseNofile, refuseForeignProc, sharedLimits } from "./rlimits.js";

export interface Sizing {
  readonly workers: number;
  /** The most connections of all workers, and what sets it. */
  readonly ceiling: Ceiling;
  /** The same with the limit by its name. */
  readonly cap: Cap;
  readonly nofile: number;
  /** The most that one worker could hold, whatever is configured. */
  readonly max: number;
}

/** How many workers, and how much each may hold. Throws `config` when the request cannot be met. */
export async function sizeGateway(
  config: ServeConfig,
  machine: Pick<MachineProbe, "cpus" | "memoryBytes">,
): Promise<Sizing> {
  refuseForeignProc();
  // A worker that the CPU quota leaves a part of a core is still a process of its own.
  const cores = Math.ceil(machine.cpus);
  const wanted = config.workers || cores;
  const enough = fullestWorker(config.connections, wanted) + 100;
  const { soft: nofile } = await raiseNofile(enough);
  const workers = config.workers || workersFor(config.connections, cores, nofile);
  refuseTooMany(workers, nofile, config);
  const max = tightestCap(workers, nofile, sharedLimits());
  if (max.connections < 1) {
    throw new GatewayError("refused", `no room for any connection: raise ${LIMITS[max.limit](nofile)}`);
  }
  if (config.workerConnections > max.connections) {
    throw new GatewayError(
      "config",
      `--worker-connections: a worker can hold ${max.connections} connections under ${LIMITS[max.limit](nofile)}, not ${config.workerConnections}`,
    );
  }
  const needsMore = fullestWorker(config.connections, workers) > workerCap(nofile);
  if (config.workers > 0 && config.workerConnections === 0 && needsMore) {
    const needed = workersFor(config.connections, cores, nofile);
    throw new GatewayError(
      "config",
      `--workers: ${config.connections} connections need at least ${needed} workers under the descriptor limit of ${nofile} a process; leave --workers out to have them computed`,
    );
  }
  const requested = { connections: config.workerConnections, limit: "worker-connections" } as const;
  const each = config.workerConnections > 0 ? requested : max;
  const ceiling = ceilingOf({ ...config, workers, workerCap: each.connections }, machine.memoryBytes);
  const limit = { full: each.limit, total_limit: "max-connections", memory: "memory" } as const;
  const cap = { connections: ceiling.connections, limit: limit[ceiling.reason] };
  return { workers, ceiling, cap, nofile, max: max.connections };
}

/** Descriptors of one of our processes that its work does not take. */
const OWN_DESCRIPTORS = WORKER_OWN_DESCRIPTORS + DESCRIPTOR_RESERVE;

/** Where descriptors are so few that more workers do not make up for them: the supervisor has one open to each. */
function refuseTooMany(workers: number, nofile: number, { connections, workers: wanted }: ServeConfig): void {
  const max = Math.min(MAX_WORKERS, nofile - OWN_DESCRIPTORS);
  if (workers <= max) return;
  const why = wanted > 0 ? `--workers ${workers}` : `${connections} connections, which need ${workers} workers`;
  const room = max < 1 ? "a worker has no room for any" : `there can be ${max} workers`;
  throw new GatewayError(
    "refused",
    `no room for ${why}: under the descriptor limit of ${nofile} a process ${room}. Raise it (ulimit -n 65536, LimitNOFILE=), or ask for fewer`,
  );
}

/** The limit behind a cap, in words: what a person would raise. */
export const LIMITS: Readonly<Record<CapLimit, (nofile: number) => string>> = {
  descriptors: (nofile) => `the descriptor limit of ${nofile}`,
  "epoll-watches": () => "the epoll watches of one user (fs.epoll.max_user_watches)",
  "file-max": () => "the open files that fs.file-max leaves (root is exempt)",
  "worker-connections": () => "--worker-connections",
  "max-connections": () => "--max-connections",
  memory: () => "memory by the model, less --memory-floor-bytes,",
};
