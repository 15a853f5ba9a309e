/**
 * The bounds of one server, and how many servers a demand needs. Pure; runs in the command line. A bound compares a need
 * that grows with the connections of one server with what the server has. A limit that a kernel setting can raise is no bound
 * here (`megagate tune` raises it).
 */
import { MAX_WORKERS } from "../../src/config/capacity.js";
import { CPU_SHARE, HUB_SHARE, MEMORY_SHARE, NIC_SHARE } from "./demand.js";
import { type Figures, figuresOf, type Given } from "./sums.js";

const RESOURCES = ["memory", "cpu", "hub", "nic", "workers", "tasks"] as const;
export type Resource = (typeof RESOURCES)[number];

export interface Bound {
  readonly resource: Resource;
  readonly unit: string;
  readonly there: number;
  readonly needed: number;
  readonly fits: boolean;
  /** Connections of one server beyond which it does not fit; null when any number fits. */
  readonly connections: number | null;
}

/** The search ends here: no plan has more connections on one server. */
const MAX_CONNECTIONS = 1_000_000_000;

export function boundsOf(given: Given, figures: Figures): Bound[] {
  const bounds = boundedOf(given).map((resource) => {
    const { unit, there, needed } = needOf(resource, given, figures);
    const connections = greatest((n) => fitsIn(resource, given, n));
    return { resource, unit, there, needed, fits: needed <= there, connections };
  });
  return bounds.sort((a, b) => (a.connections ?? Infinity) - (b.connections ?? Infinity));
}

/** Tasks count only where a control group limits them; the kernel's own limits of processes and threads are no part of a plan. */
const boundedOf = ({ machine }: Given): readonly Resource[] =>
  RESOURCES.filter((resource) => resource !== "tasks" || machine.tasks !== undefined);

/** The smallest number of servers, each with an equal part of the connections, that keeps all bounds; null when none does. */
export function serversFor(given: Given): number | null {
  const { connections } = given.demand;
  const fits = (servers: number): boolean =>
    boundedOf(given).every((resource) => fitsIn(resource, given, Math.ceil(connections / servers)));
  if (!fits(connections)) return null;
  return smallest(1, connections, fits);
}

function fitsIn(resource: Resource, given: Given, n: number): boolean {
  const { needed, there } = needOf(resource, given, figuresOf(given, n));
  return needed <= there;
}

function needOf(resource: Resource, { machine }: Given, figures: Figures): Pick<Bound, "unit" | "there" | "needed"> {
  switch (resource) {
    case "memory":
      return { unit: "bytes", there: machine.memoryBytes * MEMORY_SHARE, needed: figures.memory.total };
    case "cpu":
      return { unit: "cores", there: machine.cores * CPU_SHARE, needed: figures.cpu.total };
    case "hub":
      return { unit: "cores", there: HUB_SHARE, needed: figures.cpu.hub };
    case "nic":
      return { unit: "Gbit/s", there: machine.nicGbit * NIC_SHARE, needed: figures.network.outGbit };
    case "workers":
      return { unit: "processes", there: MAX_WORKERS, needed: figures.processes.workers };
    case "tasks":
      return { unit: "tasks", there: machine.tasks ?? Number.POSITIVE_INFINITY, needed: figures.processes.tasks };
  }
}

/** The greatest allowed n, where every n below an allowed one is allowed too; 0 when none is, null when all are. */
function greatest(allowed: (n: number) => boolean): number | null {
  if (allowed(MAX_CONNECTIONS)) return null;
  return smallest(1, MAX_CONNECTIONS, (n) => !allowed(n)) - 1;
}

function smallest(low: number, high: number, holds: (n: number) => boolean): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}
