/**
 * Spreads N connections over generators and source addresses without losing a remainder, and refuses an impossible run
 * before anything starts: the error names the resource, how much is available, how much is needed, and the remedy.
 * Sums shared with the gateway are in src/config/capacity.ts. Pure; runs in the coordinator.
 */

import {
  fullestWorker,
  GENERATOR_OWN_DESCRIPTORS,
  memoryOfLoad,
  spread,
  THREADS_PER_GENERATOR,
  workerCap,
} from "../../src/config/capacity.js";
import { GatewayError } from "../../src/errors.js";
import type { MachineLimits } from "../../sysctl/kernel/machine.js";
import { groupFloorBytes } from "./memory.js";

/**
 * What a control group is charged for a generator besides its own memory: page tables, kernel stacks, the code that it runs. A group with
 * coordinator, two generators and 3,000 sockets was charged 107 MB at most, 28 MB of it before the generators started.
 */
const GROUP_BYTES_PER_GENERATOR = 16e6;
/** uWebSockets' listen backlog (src/README.md fact 3), and the largest part of all the queues together that a run may fill. */
const LISTEN_BACKLOG = 512;
const BACKLOG_SHARE = 0.5;
const MAX_IN_FLIGHT = 8192;
/** Generators that connect at the same time: more are not faster (1, 2, 4 and 11 measured), only slower to answer. */
const LANES_PER_CORE = 1;
/** Headroom above what is known to be needed. */
const SLACK = 1.05;

export interface LoadPlanRequest {
  readonly connections: number;
  /** 0 derives it. */
  readonly generators: number;
  readonly inFlight: number;
  readonly sourceAddresses: readonly string[] | "auto";
  readonly memoryFloorBytes: number;
  /** Open as many connections as possible: a shortage is no reason to refuse. */
  readonly force: boolean;
  /** `sharesGroup`: the gateway's memory counts against the control group of this process too. */
  readonly target: { readonly address: string; readonly colocated: boolean; readonly sharesGroup?: boolean };
  /** Its worker processes and their descriptor limit, as far as they can be known. */
  readonly gateway: { readonly workers: number; readonly nofile: number; readonly sameUser: boolean } | null;
  readonly host: MachineLimits;
}

export interface GeneratorShare {
  readonly connections: number;
  readonly sources: readonly string[];
}

export interface LoadPlan {
  readonly shares: readonly GeneratorShare[];
  /** Every address used; empty when the kernel chooses. */
  readonly sourceAddresses: readonly string[];
  /** Set when each socket must ask for the whole port range (IP_LOCAL_PORT_RANGE). */
  readonly portRange: readonly [number, number] | null;
  /** Over all generators. */
  readonly inFlight: number;
  /** How many generators connect at the same time. */
  readonly lanes: number;
}

export function makePlan(request: LoadPlanRequest): LoadPlan {
  const { connections, host } = request;
  const generators = countGenerators(request);
  const addresses = chooseAddresses(request, generators);
  for (const row of shortages(request, generators)) if (!request.force || row.always) refuse(row);
  const counts = spread(connections, generators);
  const lanes = Math.min(generators, Math.max(1, host.cores * LANES_PER_CORE));
  return {
    shares: counts.map((count, i) => ({ connections: count, sources: addresses.ofGenerator(i) })),
    sourceAddresses: addresses.all,
    portRange: addresses.wholeRange ? [host.portLow, host.portHigh] : null,
    inFlight: Math.max(lanes, Math.min(connections, request.inFlight || autoInFlight(request))),
    lanes,
  };
}

/** Half of what all listen queues of the gateway hold: with more in flight, handshakes wait for retransmitted packets. */
function autoInFlight(request: LoadPlanRequest): number {
  return Math.min(MAX_IN_FLIGHT, LISTEN_BACKLOG * BACKLOG_SHARE * (request.gateway?.workers ?? 1));
}

function countGenerators({ connections, generators, host, force }: LoadPlanRequest): number {
  const each = host.nofileHard - GENERATOR_OWN_DESCRIPTORS;
  const min = Math.ceil(connections / Math.max(1, each));
  const chosen = Math.min(connections, generators || Math.max(min, host.cores));
  if (each < 1 || (chosen < min && !force)) {
    refuse({
      resource: "descriptors (hard nofile of one process)",
      available: host.nofileHard,
      needed: Math.ceil(connections / chosen) + GENERATOR_OWN_DESCRIPTORS,
      remedy: `use --generators ${min} or more, or raise the limit: ulimit -Hn`,
    });
  }
  return chosen;
}

interface Addresses {
  readonly all: readonly string[];
  readonly wholeRange: boolean;
  ofGenerator(index: number): readonly string[];
}

/**
 * Beyond half of the port range, each connect() from one address searches 100 times longer (src/README.md fact 5). Loopback
 * has sixteen million addresses, so no address passes the half there. Elsewhere each socket asks for the range itself
 * (IP_LOCAL_PORT_RANGE), which Linux 6.3 and later search without that cliff.
 */
function chooseAddresses(request: LoadPlanRequest, generators: number): Addresses {
  const { host, connections, sourceAddresses: asked, target, force } = request;
  const ports = host.portHigh - host.portLow + 1 - host.portsReserved;
  if (asked === "auto" && target.address.startsWith("127.")) {
    const each = Math.ceil(Math.ceil(connections / generators) / Math.max(1, Math.floor(ports / 2)));
    const own = (i: number): string[] => Array.from({ length: each }, (_, k) => loopbackAddress(i * each + k));
    if (ports < 2) refusePorts(ports, connections, 1);
    return { all: Array.from({ length: generators }, (_, i) => own(i)).flat(), wholeRange: false, ofGenerator: own };
  }
  const all = asked === "auto" ? [] : asked;
  const sources = Math.max(1, all.length);
  if (connections > ports * sources && !force) refusePorts(ports, connections, sources);
  const wholeRange = connections / sources > ports / 2;
  return { all, wholeRange, ofGenerator: () => all };
}

/** 127.1.0.1, 127.1.0.2, …: never 127.0.0.x, where servers listen, and never an address that ends in 0 or 255. */
function loopbackAddress(index: number): string {
  const block = Math.floor(index / 254);
  return `127.${1 + Math.floor(block / 256)}.${block % 256}.${1 + (index % 254)}`;
}

function refusePorts(ports: number, connections: number, sources: number): never {
  refuse({
    resource: `ports (net.ipv4.ip_local_port_range less the reserved, times ${sources} source address${sources > 1 ? "es" : ""})`,
    available: ports * sources,
    needed: connections,
    remedy:
      "name more local addresses with --source-addresses, or widen the range: sysctl net.ipv4.ip_local_port_range",
  });
}

interface Shortage {
  readonly resource: string;
  readonly available: number;
  readonly needed: number;
  readonly remedy: string;
  /** Not even --force may pass it. */
  readonly always?: boolean;
}

/** Every resource that does not suffice, in the order in which a run would reach its limit. */
function shortages(request: LoadPlanRequest, generators: number): Shortage[] {
  const { connections, target, gateway, host } = request;
  const ends = target.colocated ? 2 : 1;
  const sides = ends === 2 ? "both ends are on this host" : "client ends";
  // The limit is per user: a gateway of another user has its own.
  const watched = ends === 2 && gateway?.sameUser === false ? 1 : ends;
  const rows: Shortage[] = [
    ...(target.colocated && gateway ? [gatewayShortage(connections, gateway)] : []),
    {
      resource: `open files of the system (fs.file-max; ${sides})`,
      available: host.root ? Number.POSITIVE_INFINITY : host.fileMax,
      needed: host.filesOpen + Math.ceil(connections * ends * SLACK),
      remedy: `sysctl -w fs.file-max=${Math.ceil(connections * ends * 1.1) + 100_000}`,
    },
    {
      resource: `epoll registrations of one user (fs.epoll.max_user_watches; ${sides})`,
      available: host.epollWatches,
      needed: Math.ceil(connections * watched * SLACK),
      remedy: `sysctl -w fs.epoll.max_user_watches=${Math.ceil(connections * watched * 1.1)}`,
      // Where both ends share the limit, the gateway's workers would abort (src/README.md fact 20).
      always: watched === 2,
    },
    ...groupShortages(request, generators),
    {
      resource: "processes and threads (kernel.pid_max, kernel.threads-max)",
      available: Math.min(host.pidMax, host.threadsMax) - host.threads,
      needed: generators * THREADS_PER_GENERATOR,
      remedy: "use fewer --generators, or raise kernel.pid_max and kernel.threads-max",
    },
    {
      resource: "connection tracking entries (net.netfilter.nf_conntrack_max)",
      available: flowsLeft(host),
      needed: Math.ceil(connections * SLACK),
      remedy: `sysctl -w net.netfilter.nf_conntrack_max=${Math.ceil(connections * 1.2) + host.conntrackCount}, or exempt this traffic with a notrack rule`,
    },
    {
      resource: `bytes of memory (MemFree and page cache, less --memory-floor; ${sides})`,
      available: Math.max(0, host.freeBytes - request.memoryFloorBytes),
      needed: memoryOfLoad(connections, generators, target.colocated),
      remedy: "open fewer --connections, lower --memory-floor, or take a bigger machine",
    },
  ];
  return rows.filter((row) => row.needed > row.available);
}

/** A maximum of 0 means no limit. Where tracking could not be tested, existing entries show that it is on. */
function flowsLeft({ tracked, conntrackCount, conntrackMax }: MachineLimits): number {
  const isTracked = tracked ?? conntrackCount > 0;
  return isTracked && conntrackMax > 0 ? conntrackMax - conntrackCount : Number.POSITIVE_INFINITY;
}

/** At a control group's limit there is no clear error: the kernel kills processes, or fork() fails. */
function groupShortages(
  { connections, memoryFloorBytes, target, host }: LoadPlanRequest,
  generators: number,
): Shortage[] {
  const { groupMemory: memory, groupTasks: tasks } = host;
  const rows: Shortage[] = [];
  if (memory) {
    const both = target.colocated && target.sharesGroup === true;
    const floor = groupFloorBytes(memory.limit, memoryFloorBytes);
    const needed = (n: number): number => memoryOfLoad(n, generators, both) + generators * GROUP_BYTES_PER_GENERATOR;
    const available = Math.max(0, memory.limit - memory.used - floor);
    rows.push({
      resource: `bytes of memory of the control group ${memory.at} (its limit is ${grouped(memory.limit)}, less what is used and a floor of ${grouped(floor)}; ${both ? "both ends are in it" : "client ends"})`,
      available,
      needed: needed(connections),
      remedy:
        "raise the group's limit (MemoryMax= of a service, --memory of docker run, resources.limits.memory of a pod), or open fewer --connections",
      // Where the generators alone do not fit, the kernel kills them before anything can be measured.
      always: needed(0) > available,
    });
  }
  if (tasks) {
    rows.push({
      resource: `processes and threads of the control group ${tasks.at} (its pids.max is ${grouped(tasks.limit)})`,
      available: tasks.limit - tasks.used,
      needed: generators * THREADS_PER_GENERATOR,
      remedy:
        "raise pids.max (TasksMax= of a service, --pids-limit of docker run, podPidsLimit of the kubelet), or use fewer --generators",
    });
  }
  return rows;
}

/** A worker at its cap stops listening, so new connections go to the others: only the sum of all caps counts. */
function gatewayShortage(connections: number, gateway: { workers: number; nofile: number }): Shortage {
  const cap = workerCap(gateway.nofile);
  const available = gateway.workers * cap;
  let workers = gateway.workers;
  while (connections > available && fullestWorker(connections, workers) > cap) workers++;
  return {
    resource: `descriptors of the gateway (${gateway.workers} workers under a limit of ${grouped(gateway.nofile)} each)`,
    available,
    needed: connections,
    remedy: `start the gateway for ${grouped(connections)} connections, which takes ${workers} workers`,
  };
}

const grouped = (n: number): string => (Number.isFinite(n) ? n.toLocaleString("en-US") : "no limit");

function refuse({ resource, available, needed, remedy }: Shortage): never {
  throw new GatewayError(
    "refused",
    `not enough ${resource}: ${grouped(available)} available, ${grouped(needed)} needed.\nRemedy: ${remedy}`,
  );
}
