/**
 * Pure: spreads N connections over generators and source addresses without losing a remainder, and refuses the
 * impossible before anything starts, naming the resource, what is there, what is needed and the remedy.
 * Sums shared with the gateway are in src/config/capacity.ts; limits and their reasons in KERNEL.md §1.
 * Runs in the coordinator.
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
 * What a control group is charged for a generator beside that: page tables, kernel stacks, the code that it runs. A group with
 * coordinator, two generators and 3,000 sockets was charged 107 MB at most, 28 MB of it before the generators started.
 */
const GROUP_BYTES_PER_GENERATOR = 16e6;
/** uWebSockets' listen backlog, and how much of the summed queues is filled at most. */
const LISTEN_BACKLOG = 512;
const BACKLOG_SHARE = 0.5;
const MAX_IN_FLIGHT = 8192;
/** Generators that connect at the same time: more are not faster (1, 2, 4 and 11 measured), only later to answer. */
const LANES_PER_CORE = 1;
/** Headroom above what is known to be needed. */
const SLACK = 1.05;

export interface PlanRequest {
  readonly connections: number;
  /** 0 derives it. */
  readonly generators: number;
  readonly inFlight: number;
  readonly sourceAddresses: readonly string[] | "auto";
  readonly memoryFloorBytes: number;
  /** Open as many as can be had: what is short is no reason to refuse. */
  readonly force: boolean;
  /** `sharesGroup`: the gateway's memory counts against the control group of this process too. */
  readonly target: { readonly address: string; readonly colocated: boolean; readonly sharesGroup?: boolean };
  /** Its worker processes and their descriptor limit, as far as they can be known. */
  readonly gateway: { readonly workers: number; readonly nofile: number; readonly sameUser: boolean } | null;
  readonly host: MachineLimits;
}

export interface Share {
  readonly connections: number;
  readonly sources: readonly string[];
}

export interface Plan {
  readonly shares: readonly Share[];
  /** Every address used; empty when the kernel chooses. */
  readonly sourceAddresses: readonly string[];
  /** Set when each socket must ask for the whole port range by itself. */
  readonly portRange: readonly [number, number] | null;
  /** Over all generators. */
  readonly inFlight: number;
  /** Generators that connect at the same time. */
  readonly lanes: number;
}

export function makePlan(request: PlanRequest): Plan {
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

/** Half of what the gateway's listen queues hold together: more, and handshakes wait for retransmitted packets. */
function autoInFlight(request: PlanRequest): number {
  return Math.min(MAX_IN_FLIGHT, LISTEN_BACKLOG * BACKLOG_SHARE * (request.gateway?.workers ?? 1));
}

function countGenerators({ connections, generators, host, force }: PlanRequest): number {
  const each = host.nofileHard - GENERATOR_OWN_DESCRIPTORS;
  const min = Math.ceil(connections / Math.max(1, each));
  const chosen = Math.min(connections, generators || Math.max(min, host.cores));
  if (each < 1 || (chosen < min && !force)) {
    refuse({
      resource: "descriptors (hard nofile of one process)",
      there: host.nofileHard,
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
 * Past half of the port range, each connect() from one address searches 100 times longer (KERNEL.md fact 5). Loopback has
 * sixteen million addresses, so there nobody passes the half; elsewhere each socket asks for the range by itself, which
 * Linux 6.3 searches without that cliff.
 */
function chooseAddresses(request: PlanRequest, generators: number): Addresses {
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
    there: ports * sources,
    needed: connections,
    remedy:
      "name more local addresses with --source-addresses, or widen the range: sysctl net.ipv4.ip_local_port_range",
  });
}

interface Shortage {
  readonly resource: string;
  readonly there: number;
  readonly needed: number;
  readonly remedy: string;
  /** Not even --force goes beyond it. */
  readonly always?: boolean;
}

/** What there is too little of, in the order in which it would be met. */
function shortages(request: PlanRequest, generators: number): Shortage[] {
  const { connections, target, gateway, host } = request;
  const ends = target.colocated ? 2 : 1;
  const sides = ends === 2 ? "both ends are on this host" : "client ends";
  // Another user has epoll watches of his own.
  const watched = ends === 2 && gateway?.sameUser === false ? 1 : ends;
  const rows: Shortage[] = [
    ...(target.colocated && gateway ? [gatewayShortage(connections, gateway)] : []),
    {
      resource: `open files of the system (fs.file-max; ${sides})`,
      there: host.root ? Number.POSITIVE_INFINITY : host.fileMax,
      needed: host.filesOpen + Math.ceil(connections * ends * SLACK),
      remedy: `sysctl -w fs.file-max=${Math.ceil(connections * ends * 1.1) + 100_000}`,
    },
    {
      resource: `epoll registrations of one user (fs.epoll.max_user_watches; ${sides})`,
      there: host.epollWatches,
      needed: Math.ceil(connections * watched * SLACK),
      remedy: `sysctl -w fs.epoll.max_user_watches=${Math.ceil(connections * watched * 1.1)}`,
      // Where both ends share them, the gateway's workers would abort.
      always: watched === 2,
    },
    ...groupShortages(request, generators),
    {
      resource: "processes and threads (kernel.pid_max, kernel.threads-max)",
      there: Math.min(host.pidMax, host.threadsMax) - host.threads,
      needed: generators * THREADS_PER_GENERATOR,
      remedy: "use fewer --generators, or raise kernel.pid_max and kernel.threads-max",
    },
    {
      resource: "connection tracking entries (net.netfilter.nf_conntrack_max)",
      there: flowsLeft(host),
      needed: Math.ceil(connections * SLACK),
      remedy: `sysctl -w net.netfilter.nf_conntrack_max=${Math.ceil(connections * 1.2) + host.conntrackCount}, or exempt this traffic with a notrack rule`,
    },
    {
      resource: `bytes of memory (MemFree and page cache, less --memory-floor; ${sides})`,
      there: Math.max(0, host.freeBytes - request.memoryFloorBytes),
      needed: memoryOfLoad(connections, generators, target.colocated),
      remedy: "open fewer --connections, lower --memory-floor, or take a bigger machine",
    },
  ];
  return rows.filter((row) => row.needed > row.there);
}

/** A maximum of 0 is none. Where nobody could try, entries are a sign. */
function flowsLeft({ tracked, conntrackCount, conntrackMax }: MachineLimits): number {
  const isTracked = tracked ?? conntrackCount > 0;
  return isTracked && conntrackMax > 0 ? conntrackMax - conntrackCount : Number.POSITIVE_INFINITY;
}

/** At their limits nothing says why: the kernel kills, or no process can be started. */
function groupShortages({ connections, memoryFloorBytes, target, host }: PlanRequest, generators: number): Shortage[] {
  const { groupMemory: memory, groupTasks: tasks } = host;
  const rows: Shortage[] = [];
  if (memory) {
    const both = target.colocated && target.sharesGroup === true;
    const floor = groupFloorBytes(memory.limit, memoryFloorBytes);
    const needed = (n: number): number => memoryOfLoad(n, generators, both) + generators * GROUP_BYTES_PER_GENERATOR;
    const there = Math.max(0, memory.limit - memory.used - floor);
    rows.push({
      resource: `bytes of memory of the control group ${memory.at} (its limit is ${grouped(memory.limit)}; less what is used and a floor of ${grouped(floor)}; ${both ? "both ends are in it" : "client ends"})`,
      there,
      needed: needed(connections),
      remedy:
        "raise the group's limit (MemoryMax= of a service, --memory of docker run, resources.limits.memory of a pod), or open fewer --connections",
      // Where not even the generators fit, they are killed before anything can be measured.
      always: needed(0) > there,
    });
  }
  if (tasks) {
    rows.push({
      resource: `processes and threads of the control group ${tasks.at} (its pids.max is ${grouped(tasks.limit)})`,
      there: tasks.limit - tasks.used,
      needed: generators * THREADS_PER_GENERATOR,
      remedy:
        "raise pids.max (TasksMax= of a service, --pids-limit of docker run, podPidsLimit of the kubelet), or use fewer --generators",
    });
  }
  return rows;
}

/** Workers at their cap send newcomers to the others, so that what they hold together is what counts. */
function gatewayShortage(connections: number, gateway: { workers: number; nofile: number }): Shortage {
  const cap = workerCap(gateway.nofile);
  const there = gateway.workers * cap;
  let workers = gateway.workers;
  while (connections > there && fullestWorker(connections, workers) > cap) workers++;
  return {
    resource: `descriptors of the gateway (${gateway.workers} workers under a limit of ${grouped(gateway.nofile)} each)`,
    there,
    needed: connections,
    remedy: `start the gateway for ${grouped(connections)} connections, which takes ${workers} workers`,
  };
}

const grouped = (n: number): string => (Number.isFinite(n) ? n.toLocaleString("en-US") : "no limit");

function refuse({ resource, there, needed, remedy }: Shortage): never {
  throw new GatewayError(
    "refused",
    `not enough ${resource}: ${grouped(there)} there, ${grouped(needed)} needed.\nRemedy: ${remedy}`,
  );
}
