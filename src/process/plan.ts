/** How many workers there are, and how much each may hold: decided once, at the start, from the configuration and the kernel. */
import { availableParallelism } from "node:os";
import { type Ceiling, ceilingOf, memoryBytes } from "../admission/ceiling.js";
import { fullestWorker, workerCap, workersFor } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import { raiseNofile } from "./limits.js";

export interface Plan {
  readonly workers: number;
  /** The most connections of all workers, and what sets it. */
  readonly ceiling: Ceiling;
  readonly nofile: number;
}

/** How many workers, and how much each may hold. Throws `config` when the wish cannot be met. */
export async function makePlan(config: ServeConfig): Promise<Plan> {
  const cores = availableParallelism();
  const wanted = config.workers || cores;
  const enough = fullestWorker(config.connections, wanted) + 100;
  const { soft: nofile } = await raiseNofile(enough);
  const workers = config.workers || workersFor(config.connections, cores, nofile);
  const most = workerCap(nofile);
  if (config.workerConnections > most) {
    throw new GatewayError(
      "config",
      `--worker-connections: a worker can hold ${most} connections under the descriptor limit of ${nofile}, not ${config.workerConnections}`,
    );
  }
  if (config.workers > 0 && config.workerConnections === 0 && fullestWorker(config.connections, workers) > most) {
    const needed = workersFor(config.connections, cores, nofile);
    throw new GatewayError(
      "config",
      `--workers: ${config.connections} connections need at least ${needed} workers under the descriptor limit of ${nofile} a process; leave --workers out to have them computed`,
    );
  }
  const limits = { ...config, workers, workerCap: config.workerConnections || most };
  return { workers, ceiling: ceilingOf(limits, memoryBytes()), nofile };
}
