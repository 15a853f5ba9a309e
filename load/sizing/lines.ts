/**
 * A plan as rows for a person: name, value, and the formula behind it as a phrase. Pure; runs in the command line. report.ts
 * lays the rows out for a terminal and for the README.
 */
import { RETURN_RATE_PER_CORE } from "../../src/config/capacity.js";
import { grouped, size } from "../evidence/format.js";
import { CPU_SHARE, MEMORY_SHARE } from "./demand.js";
import type { SizingPlan } from "./plan.js";

export interface Line {
  readonly name: string;
  readonly value: string;
  readonly sum: string;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

const line = (name: string, value: string, sum: string): Line => ({ name, value, sum });

/** "0.35", "12.4", "1,234": rounded up, to two decimals below 10, to one below 100, to a whole number above. */
export function number(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return grouped(Math.ceil(value));
  const factor = value >= 10 ? 10 : 100;
  // Minus the error of floating point: 8.71 × 100 is a little over 871.
  return String(Math.ceil(value * factor - 1e-9) / factor);
}

/** "0.4 s", "12 s", "17 min", "1.9 h". */
export function lasting(seconds: number): string {
  if (seconds < 120) return `${number(seconds)} s`;
  return seconds < 7200 ? `${grouped(Math.ceil(seconds / 60))} min` : `${number(seconds / 3600)} h`;
}

export function sectionsOf(plan: SizingPlan): Section[] {
  return [processes(plan), memory(plan), cpu(plan), network(plan), times(plan), ...fleet(plan)];
}

function processes({ perServer, machine, demand }: SizingPlan): Section {
  const { processes: p } = perServer;
  const ends = demand.clientsHere ? "both ends" : "one end each";
  return {
    title: "Processes and descriptors",
    lines: [
      line("connections", grouped(perServer.connections), "all connections / servers that are up, rounded up"),
      line(
        "workers",
        grouped(p.workers),
        `at least one per core (${number(machine.cores)}), and the fullest below ${grouped(machine.nofile)} descriptors`,
      ),
      line(
        "fullest worker",
        `${grouped(p.fullest)} connections, ${grouped(p.descriptorsOfFullest)} descriptors`,
        "mean + 5 × √mean, and 60 of its own",
      ),
      ...(p.generators > 0 ? [line("generators", grouped(p.generators), "connections / (nofile − 100)")] : []),
      line("descriptors in all", grouped(p.descriptors), `connections, ${ends}, and 60 a process`),
      line("fs.file-max, epoll watches", grouped(p.fileMaxAndWatches), `${ends} × 1.1; megagate tune sets both`),
      line("tasks", grouped(p.tasks), "(workers + hub + supervisor + generators) × 12"),
    ],
  };
}

function memory({ perServer, machine, demand }: SizingPlan): Section {
  const { memory: m } = perServer;
  const topics = `topics (${grouped(demand.topics)}) × (perHubTopic + ${m.remembered} × (push + perRemembered))`;
  return {
    title: "Memory",
    lines: [
      line("user: connections", size(m.connections), "connections × (userPerConnection + further subscriptions)"),
      line("user: processes", size(m.processes), "(workers + hub + supervisor) × perProcess"),
      line("user: topics in the hub", size(m.topicsInHub), topics),
      line(
        "user: topics in workers",
        size(m.topicsInWorkers),
        `${grouped(m.replicas)} replicas × (perReplica + the same)`,
      ),
      line(
        "--topic-memory-bytes",
        `at least ${size(m.account)}`,
        "topics × (516 + remembered × (push + 220)), as the hub counts it",
      ),
      line(
        "log of topics, at most",
        size(m.log),
        "max(64 MiB, 2 × images) + 16 MiB + images of all topics; in memory files, or on the disk of --state-dir",
      ),
      ...(demand.tls ? [line("user: TLS", size(m.tls), "connections × tlsPerConnection")] : []),
      line("kernel", size(m.kernel), "connections × kernelPerServerEnd"),
      line(
        "buffers, at worst",
        size(m.buffers),
        `${demand.stalledPercent} % of the connections × (stalledQueue + 2 × (stalledBuffer + a push) and its bookkeeping)`,
      ),
      ...(demand.clientsHere
        ? [line("client ends", size(m.clients), "connections × (kernelPerClientEnd + generatorPerConnection)")]
        : []),
      line(
        "memory in all",
        `${size(m.total)} of ${size(machine.memoryBytes)}`,
        `at most ${100 * MEMORY_SHARE} % of the machine's`,
      ),
    ],
  };
}

function cpu({ perServer, machine }: SizingPlan): Section {
  const { cpu: c, traffic: t } = perServer;
  const cores = (value: number): string => `${number(value)} cores`;
  return {
    title: "CPU, in the steady state",
    lines: [
      line("deliveries", cores(c.deliveries), `${number(t.deliveriesPerSecond)}/s × ${number(c.perDelivery)} µs`),
      line("heartbeats and pings", cores(c.beats), `${number(t.beatsPerSecond)}/s × heartbeat`),
      line("timers", cores(c.timers), "connections × timerSweep / 4 s"),
      line(
        "hub",
        cores(c.hub),
        `${number(t.publicationsPerSecond)} publications/s × (publication + ${t.workersOfTopic} workers × publicationPerWorker); one process`,
      ),
      line(
        "publications in workers",
        cores(c.takingIn),
        "publications/s × workers that follow the topic × publicationInWorker",
      ),
      line(
        "CPU in all",
        `${number(c.total)} of ${number(machine.cores)} cores`,
        `at most ${100 * CPU_SHARE} %: the rest is for bursts and reconnects`,
      ),
    ],
  };
}

function network({ perServer, demand, machine }: SizingPlan): Section {
  const { network: n, addresses: a } = perServer;
  const gbit = (value: number): string => (demand.clientsHere ? "loopback" : `${number(value)} Gbit/s`);
  return {
    title: "Network",
    lines: [
      line(
        "a push on the wire",
        `${n.wireBytesOfPush} bytes`,
        "data, envelope, WebSocket, TLS if any, TCP/IP, Ethernet",
      ),
      line(
        "out",
        `${gbit(n.outGbit)}, ${grouped(Math.ceil(n.packetsOut))} packets/s`,
        `of ${machine.nicGbit} Gbit/s: pushes and answers`,
      ),
      line(
        "in",
        `${gbit(n.inGbit)}, ${grouped(Math.ceil(n.packetsIn))} packets/s`,
        "an acknowledgement of 90 bytes a push, heartbeats",
      ),
      line(
        "source addresses",
        `${grouped(a.cheap)} (${grouped(a.atTheEdge)} at the edge)`,
        "for a load test only: connections / half of the port range, beyond which connect() is 100 times slower; real clients have their own",
      ),
    ],
  };
}

function times({ perServer }: SizingPlan): Section {
  const { times: t, traffic } = perServer;
  return {
    title: "Times",
    lines: [
      line(
        "a publication to its topic",
        lasting(t.oneToTopicSeconds),
        `${grouped(traffic.subscribersOfTopic)} subscribers × delivery / cores, or the card's time if longer`,
      ),
      line(
        "a publication to all connections",
        lasting(t.oneToAllSeconds),
        "the same with all connections on one topic",
      ),
      line(
        "a worker busy with that",
        lasting(t.workerBusySeconds),
        "its connections × delivery: the worker does nothing else meanwhile",
      ),
      line(
        "reconnects",
        `${grouped(Math.floor(t.reconnectPerSecond))}/s`,
        "cores / (connect, and tlsHandshake if any)",
      ),
      line("all connect", lasting(t.reconnectSeconds), "connections / reconnects a second, with nothing else to do"),
      line("drain", lasting(t.drainSeconds), "connections × goodbye / cores; --stop-seconds must be above it"),
      line(
        "return window",
        lasting(t.windowSeconds),
        `connections / (cores × ${grouped(RETURN_RATE_PER_CORE)}): the window of a goodbye, until the gateway has measured its own rate`,
      ),
    ],
  };
}

function fleet({ fleet: f, servers, spare }: SizingPlan): Section[] {
  if (f === null || servers === null) return [];
  return [
    {
      title: "Among servers",
      lines: [
        line(
          "usual connections of each",
          grouped(f.usualConnections),
          `all / ${grouped(servers)} servers; the figures above are with ${spare} down`,
        ),
        line("one fails: more on each other", grouped(f.extraConnections), "its connections / the others"),
        line(
          "until they are back",
          lasting(f.returnSeconds),
          "these / (reconnects a second × the free share of the cores)",
        ),
        line(
          "rolling restart",
          lasting(f.rollingRestartSeconds),
          "servers × (drain + return window), one after the other",
        ),
      ],
    },
  ];
}
