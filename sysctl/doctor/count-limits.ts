/**
 * The table of limits on how many connections the machine holds. Each row says how much is available, how much n connections
 * need, what an operator sees when it is used up, and the remedy. Pure; ceilings.ts searches the highest n. The measurements
 * behind the rows are src/README.md facts 1, 5, 12, 19, 20 and 23.
 */
import { fullestWorker, MAX_WORKERS } from "../../src/config/capacity.js";
import type { MachineFacts } from "../kernel/facts.js";
import { keepsTcpMemory, kernelPlan, pagesLeft, tcpQuantumBytes } from "../plan.js";
import type { SysctlNeed } from "../remedies/need.js";
import type { Need } from "../remedies/remedies.js";
import type { DoctorPlan, LimitId, Side } from "./ceiling.js";
import * as demand from "./demand.js";
import * as explanations from "./explanations.js";
import { flowsAvailable, portsAvailable, tasksNeed, tightestTasks } from "./headroom.js";

export interface CountRow {
  readonly limit: LimitId;
  readonly side: Side;
  readonly applies?: (facts: MachineFacts, plan: DoctorPlan) => boolean;
  /** In the unit of `needs`; Infinity where nothing bounds, null where it could not be read. */
  readonly available: (facts: MachineFacts, plan: DoctorPlan) => number | null;
  readonly needs: (n: number, facts: MachineFacts, plan: DoctorPlan) => number;
  /** `available` leaves out what is in use already, by our own open connections too. */
  readonly net?: true;
  readonly shown: (facts: MachineFacts, plan: DoctorPlan) => string;
  readonly explanation: (facts: MachineFacts, plan: DoctorPlan) => string;
  readonly symptom: string;
  readonly need: (facts: MachineFacts, plan: DoctorPlan) => Need | null;
  /** One more line where no setting helps, or besides the setting. */
  readonly advice?: (facts: MachineFacts, plan: DoctorPlan) => string | undefined;
}

/** A tenth more than needed, so that a limit that was just raised is not the next one to be hit. */
const withSlack = (n: number): number => Math.ceil((n * 11) / 10);
const hostSetting = (key: string, value: number): SysctlNeed => ({
  kind: "sysctl",
  key,
  value: String(value),
  scope: "host",
});

const tcpPagesWanted = (facts: MachineFacts, plan: DoctorPlan): number =>
  withSlack(demand.tcpPagesKept(plan.connections, facts, plan)) + facts.tcpPagesUsed;
/** The pages that idle connections leave free: tune sets no more either. */
const tcpPagesAvailable = (facts: MachineFacts, { connections, listenPorts, side }: DoctorPlan): number =>
  pagesLeft(kernelPlan(facts, { connections, listenPorts, coLocated: side === "both" }));

export const COUNT_ROWS: readonly CountRow[] = [
  {
    limit: "descriptors",
    side: "server",
    available: (facts) => facts.nofile && demand.maxWorkers(facts),
    needs: (n, facts) => demand.workersNeeded(n, facts),
    shown: explanations.workersShown,
    explanation: explanations.workers,
    symptom: "a worker at its cap stops listening; once all are at their cap, clients get 503 with Retry-After",
    need: (facts, plan) => ({ kind: "nofile", value: demand.nofileNeeded(plan.connections, facts) }),
  },
  {
    limit: "client-descriptors",
    side: "client",
    available: ({ nofile }) => nofile && demand.MAX_GENERATORS,
    needs: (n, facts) => demand.generatorsNeeded(n, facts),
    shown: explanations.nofile,
    explanation: explanations.generators,
    symptom: "megagate load refuses the run; another client gets EMFILE from socket()",
    need: (facts, plan) => ({ kind: "nofile", value: demand.nofileNeeded(plan.connections, facts) }),
  },
  {
    limit: "nr-open",
    side: "both",
    available: (facts) => demand.numberOf(facts, "fs.nr_open") ?? null,
    needs: (n) => fullestWorker(n, MAX_WORKERS) + 100,
    shown: (facts) => explanations.setting(facts, "fs.nr_open"),
    explanation: () => "No process can be given a descriptor limit above it.",
    symptom: "setrlimit fails with EPERM; a service with a higher LimitNOFILE does not start",
    need: (_facts, plan) =>
      hostSetting("fs.nr_open", Math.max(1_048_576, fullestWorker(plan.connections, MAX_WORKERS) + 100)),
  },
  {
    limit: "file-max",
    side: "both",
    available: (facts) => {
      if (facts.opensBeyondFileMax) return Number.POSITIVE_INFINITY;
      const max = demand.numberOf(facts, "fs.file-max");
      return max === undefined ? null : max - facts.filesOpen;
    },
    needs: (n, _facts, plan) => n * demand.endsPerConnection(plan),
    net: true,
    shown: explanations.files,
    explanation: (facts) =>
      facts.opensBeyondFileMax
        ? "Open files of the whole machine; this user is exempt (CAP_SYS_ADMIN), a gateway run as another is not."
        : "Open files of the whole machine.",
    symptom: 'accept() and socket() fail with ENFILE in every process; dmesg: "VFS: file-max limit … reached"',
    need: (facts, plan) =>
      hostSetting("fs.file-max", facts.filesOpen + withSlack(plan.connections * demand.endsPerConnection(plan))),
  },
  {
    limit: "epoll-watches",
    side: "both",
    available: (facts) => demand.numberOf(facts, "fs.epoll.max_user_watches") ?? null,
    needs: (n, _facts, plan) => n * demand.endsPerConnection(plan),
    shown: (facts) => explanations.setting(facts, "fs.epoll.max_user_watches"),
    explanation: () => "Sockets that one user may watch, over all processes; root is bound too.",
    symptom: "epoll_ctl fails with ENOSPC and the worker aborts",
    need: (_facts, plan) =>
      hostSetting("fs.epoll.max_user_watches", withSlack(plan.connections * demand.endsPerConnection(plan))),
  },
  {
    limit: "ports",
    side: "client",
    available: portsAvailable,
    needs: (n) => n,
    shown: explanations.ports,
    explanation: explanations.portsExplained,
    symptom: "connect() fails with EADDRNOTAVAIL; before that each takes 2 to 3 ms instead of 20 µs",
    need: () => ({ kind: "sysctl", key: "net.ipv4.ip_local_port_range", value: "10000 65535", scope: "namespace" }),
    advice: () => "# more of either helps as well: megagate load --source-addresses, or more addresses to connect to",
  },
  {
    limit: "conntrack",
    side: "both",
    available: flowsAvailable,
    needs: (n) => n,
    net: true,
    shown: explanations.flows,
    explanation: explanations.flowsExplained,
    symptom:
      'SYNs are dropped without an error: connect() times out after two minutes; dmesg: "nf_conntrack: table full"',
    need: (facts, plan) => ({
      ...hostSetting("net.netfilter.nf_conntrack_max", withSlack(plan.connections) + (facts.tracking?.entries ?? 0)),
      module: "nf_conntrack",
    }),
    advice: () => "# or exempt the gateway's port from tracking with a notrack rule",
  },
  {
    limit: "tcp-mem",
    side: "both",
    applies: (facts) => keepsTcpMemory(facts.kernel),
    available: (facts) => {
      const max = demand.numbersOf(facts, "net.ipv4.tcp_mem")?.[2];
      return max === undefined ? null : max - facts.tcpPagesUsed;
    },
    needs: (n, facts, plan) => demand.tcpPagesKept(n, facts, plan),
    net: true,
    shown: explanations.tcpPages,
    explanation: (facts) =>
      `Before Linux 6.0 each socket that ever moved data may keep ${explanations.groupedOrNoLimit(tcpQuantumBytes(facts.kernel, facts.pageBytes))} bytes, and the limit is in pages of ${explanations.groupedOrNoLimit(facts.pageBytes)}; this is ${facts.kernel}.`,
    symptom: 'dmesg: "TCP: out of memory -- consider tuning tcp_mem"; data is dropped, sockets are aborted',
    need: (facts, plan) => {
      const pages = tcpPagesWanted(facts, plan);
      if (pages > tcpPagesAvailable(facts, plan)) return null;
      const value = [Math.floor(pages / 2), Math.floor((pages * 2) / 3), pages].join(" ");
      return { kind: "sysctl", key: "net.ipv4.tcp_mem", value, scope: "host" };
    },
    advice: (facts, plan) =>
      tcpPagesWanted(facts, plan) > tcpPagesAvailable(facts, plan)
        ? "No setting: what sockets may keep is more than idle connections leave of the memory. Take a bigger machine, a newer kernel (6.0), or ask for fewer connections."
        : undefined,
  },
  {
    limit: "pids",
    side: "both",
    available: (facts) => tightestTasks(facts)?.left ?? null,
    needs: demand.tasksOf,
    net: true,
    shown: explanations.tasks,
    explanation: explanations.tasksExplained,
    symptom: "fork() and pthread_create() fail with EAGAIN: a worker does not start",
    need: tasksNeed,
    advice: explanations.tasksAdvice,
  },
  {
    limit: "cgroup-memory",
    side: "both",
    available: ({ groupMemory }) => (groupMemory ? groupMemory.limit - groupMemory.used : Number.POSITIVE_INFINITY),
    needs: demand.bytesOf,
    net: true,
    shown: explanations.groupMemoryShown,
    explanation: explanations.bytesExplained,
    symptom: "the kernel kills a process of the group (OOM), without an error before it",
    need: (facts, plan) => ({
      kind: "memory",
      bytes: (facts.groupMemory?.used ?? 0) + withSlack(demand.bytesOf(plan.connections, facts, plan)),
    }),
  },
  {
    limit: "memory",
    side: "both",
    available: ({ memory }, plan) =>
      memory && memory.freeBytes - (demand.hasClient(plan) ? demand.GENERATOR_MEMORY_FLOOR : 0),
    needs: demand.bytesOf,
    net: true,
    shown: explanations.memory,
    explanation: explanations.bytesExplained,
    symptom: "the kernel kills processes (OOM); no setting makes a connection smaller",
    need: () => null,
    advice: (facts, plan) =>
      `Free ${explanations.gigabytes(withSlack(demand.bytesOf(plan.connections, facts, plan)))}, take a bigger machine, or ask for fewer connections.`,
  },
];
