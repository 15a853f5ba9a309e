/**
 * The one table of kernel settings: the values that Megagate needs for a plan, and why. Pure data and sums.
 * tune writes in this order and restores in the reverse order: an upper limit before the limits below it, reserved ports before
 * the range that would hand them out is widened, conntrack's buckets before its maximum.
 * `tune`, the rendered sysctl.d file and the reports derive from it. Measurements: src/README.md facts 3 to 5, 7, 19, 20 and 23.
 */
import { endsWithSlack, type KernelPlan, STOCK_NR_OPEN, tcpQueuePages } from "./plan.js";
import { isLegible, isLower, nextValue, type Want } from "./rules.js";

export interface Setting {
  /** As sysctl(8) spells it; "module.<name>.<parameter>" for a module parameter below /sys/module. */
  readonly key: string;
  /** What the setting does, and what happens to a gateway without it, in one sentence. */
  readonly why: string;
  /** "namespace": each network namespace has its own; "host": one for the machine, absent or read-only in containers. */
  readonly scope: "namespace" | "host";
  readonly wants: (plan: KernelPlan) => Want;
  /** Present where only some plans need it; the two texts say why not, on this host and in a file for any host. */
  readonly when?: {
    readonly needed: (plan: KernelPlan) => boolean;
    readonly otherwise: string;
    readonly inFile: string;
  };
  /** Present where the wanted value may be below the present one: what other programs on the host lose. */
  readonly lowers?: string;
  /** The host's own value grows with its memory or was raised by its distribution: a file with a fixed value might lower it. */
  readonly hostMayHaveMore?: true;
  /** The first kernel that has it, where kernels without it are still in use. */
  readonly since?: string;
  /** A second name of the same value, which copied recipes use. */
  readonly alias?: string;
  /** Kernel module without which it does not exist: it must be loaded before sysctl.d is applied at boot. */
  readonly module?: string;
  /** The name that a sysctl.d file needs, where `key` is a module's parameter. */
  readonly fileKey?: string;
}

const TRACKED = {
  needed: (plan: KernelPlan): boolean => plan.conntrackLive,
  otherwise:
    "connection tracking is not live here: new connections added no entry. Once a firewall tracks them, run tune again; --persist then writes /etc/modules-load.d too, because sysctl.d is applied before the firewall loads the module",
  inFile: "only where connection tracking is live, which `megagate doctor` finds out",
};
const CLIENT_END = {
  needed: (plan: KernelPlan): boolean => plan.coLocated,
  otherwise: "no client ends on this host",
  inFile: "only where the client ends are on the same host",
};
/** 1.2 entries for each connection: one, even on loopback with both ends here (measured), and a fifth for other traffic. */
const trackedEntries = (plan: KernelPlan): number => Math.ceil((plan.connections * 12) / 10);

export const SETTINGS: readonly Setting[] = [
  {
    key: "fs.nr_open",
    why: "No process may be given a higher descriptor limit than this; a limit above it locks users out of login.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: Math.max(STOCK_NR_OPEN, plan.nofile, plan.nofileWanted ?? 0) }),
    hostMayHaveMore: true,
  },
  {
    key: "fs.file-max",
    why: "Open files of the whole host: at the limit accept() fails with ENFILE in every process that is not root.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: endsWithSlack(plan) }),
    hostMayHaveMore: true,
  },
  {
    key: "fs.epoll.max_user_watches",
    why: "Each socket is one epoll watch of its user, over all processes; beyond the limit a worker aborts.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: endsWithSlack(plan) }),
    hostMayHaveMore: true,
  },
  {
    key: "net.core.somaxconn",
    why: "Length of the accept queue: the default of 4,096 or less overflows in a reconnect storm (SYN retries of 1, 3, 7 s).",
    scope: "namespace",
    wants: () => ({ rule: "atLeast", value: 65_535 }),
  },
  {
    key: "net.ipv4.tcp_max_syn_backlog",
    why: "Half-open connections of a listener: too few and a storm is answered with SYN cookies or not at all.",
    scope: "namespace",
    wants: () => ({ rule: "atLeast", value: 65_535 }),
  },
  {
    key: "net.core.netdev_max_backlog",
    why: "Packets waiting for each core, loopback included: an overflow loses a SYN (1 s) or data (0.2 s) in every burst.",
    scope: "host",
    wants: () => ({ rule: "atLeast", value: 65_536 }),
  },
  {
    key: "net.ipv4.tcp_migrate_req",
    why: "Lets a closing worker's queued connections move to its neighbours: 361 to 401 resets in each drain without, 0 with.",
    scope: "namespace",
    wants: () => ({ rule: "oneOf", values: ["1"] }),
    since: "Linux 5.14",
  },
  {
    key: "net.ipv4.tcp_notsent_lowat",
    why: "Unsent bytes the kernel takes for a slow reader before the gateway notices: about 240 KB each without, 29 KB with.",
    scope: "namespace",
    wants: () => ({ rule: "atMost", value: 16_384 }),
    lowers:
      "every TCP socket here queues at most 16 KiB unsent; throughput is unaffected, bulk senders wake more often",
  },
  {
    key: "net.ipv4.tcp_wmem",
    why: "The last number bounds what one vanished reader pins in kernel memory; at the usual 4 MiB each, a few thousand vanished readers use up all memory.",
    scope: "namespace",
    wants: () => ({ rule: "lastAtMost", value: 262_144 }),
    lowers:
      "no TCP connection from here has more than 256 KiB in flight: a long-distance upload by another program gets slower (about 2 MB/s at 100 ms)",
  },
  {
    key: "net.ipv4.ip_local_reserved_ports",
    why: "Keeps outgoing connections off the gateway's own ports: one of them, or its TIME_WAIT, makes a restart fail to bind.",
    scope: "namespace",
    wants: (plan) => ({ rule: "reserves", ports: plan.listenPorts }),
  },
  {
    key: "net.ipv4.ip_local_port_range",
    why: "Ports for the client ends: connect() gets a hundred times slower past half of the range for each address pair.",
    scope: "namespace",
    wants: () => ({ rule: "covers", low: 10_000, high: 65_535 }),
    when: CLIENT_END,
  },
  {
    key: "net.ipv4.tcp_tw_reuse",
    why: "Lets client ends on loopback take the port of a closed connection after 1 s, so that runs can follow each other.",
    scope: "namespace",
    wants: () => ({ rule: "oneOf", values: ["2", "1"] }),
    when: CLIENT_END,
  },
  {
    key: "net.ipv4.tcp_max_orphans",
    why: "Sockets still closing after their process ended: stopping a full gateway leaves one for each connection, and the kernel resets those above the limit.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: plan.connections }),
  },
  {
    key: "net.ipv4.tcp_mem",
    why: "Pages of queued data for all TCP sockets together: at the last number the kernel drops data and aborts sockets.",
    scope: "host",
    wants: (plan) => {
      const pages = tcpQueuePages(plan);
      return { rule: "lastAtLeast", values: [Math.floor(pages / 2), Math.floor((pages * 2) / 3), pages] };
    },
    hostMayHaveMore: true,
  },
  {
    key: "module.nf_conntrack.hashsize",
    why: "Buckets of the connection-tracking table, a quarter of its maximum: fewer make long chains and cost CPU per packet.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: Math.ceil(trackedEntries(plan) / 4) }),
    when: TRACKED,
    fileKey: "net.netfilter.nf_conntrack_buckets",
    module: "nf_conntrack",
  },
  {
    key: "net.netfilter.nf_conntrack_max",
    why: "Most connections that conntrack tracks, 262,144 by default (the 26w of many reports): beyond it the kernel drops every SYN without an error.",
    scope: "host",
    wants: (plan) => ({ rule: "atLeast", value: trackedEntries(plan), zeroIsUnlimited: true }),
    when: TRACKED,
    alias: "net.nf_conntrack_max",
    module: "nf_conntrack",
  },
];

/** Whether setting the wanted value would lower the present one. */
export function wouldLower(setting: Setting, plan: KernelPlan, now: string): boolean {
  const want = setting.wants(plan);
  if (setting.lowers === undefined || !isLegible(want, now)) return false;
  const next = nextValue(want, now);
  return next !== undefined && isLower(next, now);
}
