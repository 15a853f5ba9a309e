/**
 * The one table of mechanisms that end or stall a ramp: the numbers that prove each, and the remedy. Pure.
 * The names are those of `megagate doctor`'s ceilings, so that a prediction can be compared with what happened.
 * It must not read the machine: everything that a row needs is in the View (proofs.ts).
 */
import { atCap, byError, type CauseRow, isAtLimit } from "./proofs.js";

/** Descriptors that a worker needs besides its connections. */
const WORKER_OWN_DESCRIPTORS = 60;
/** From this share on the cores count as busy: some of the rest is measuring error. */
const BUSY = 0.9;
/** Past half of the range connect() takes a hundred times longer; the whole rate drops less, because of the work in between. */
const CLIFF_DROP = 3;

/** Limits that may set a gateway's cap, by the gateway's names, each with the remedy to apply before it starts. */
const CAPS: readonly (readonly [id: string, what: string, remedy: string])[] = [
  ["descriptors", "its descriptor limit sets", "start it with more --workers, or under a higher limit: ulimit -Hn"],
  ["epoll-watches", "its user's epoll watches set", "raise fs.epoll.max_user_watches before the gateway starts"],
  ["file-max", "fs.file-max sets", "raise fs.file-max before the gateway starts"],
  ["worker-connections", "it was given", "start it with a higher --worker-connections, or with more --workers"],
];

export const CAUSES: readonly CauseRow[] = [
  ...CAPS.map(
    ([id, what, remedy]): CauseRow => ({
      id,
      side: "server",
      title: `every worker of the gateway is at the cap that ${what}`,
      prove: atCap(id),
      remedy,
    }),
  ),
  {
    id: "memory",
    side: "both",
    title: "free memory came down to the floor",
    prove({ memory: { freeBytes, floorBytes } }) {
      if (freeBytes >= floorBytes) return undefined;
      const numbers = { "free bytes": freeBytes, "floor bytes": floorBytes };
      return { certainty: "proven", numbers, weight: Number.POSITIVE_INFINITY, signs: [] };
    },
    remedy: "take a bigger machine",
    orLoad: "open fewer --connections, or lower --memory-floor",
  },
  {
    id: "memory",
    side: "both",
    title: "the kernel had no memory for more sockets",
    prove: byError(["ENOMEM", "ENOBUFS"], ({ memory }) => ({ "free bytes": memory.freeBytes })),
    remedy: "take a bigger machine, or raise the memory limit of the cgroup",
  },
  {
    id: "conntrack",
    side: "both",
    title: "the connection-tracking table is full: new connections are dropped without an error",
    prove({ grown, peak: { conntrackCount: count, conntrackMax: max } }) {
      const drops = grown.conntrackDrops;
      const atLimit = count > 0 && isAtLimit(count, max);
      // A count of 0 means that nothing is tracked here; where a namespace hides the count, drops speak for themselves.
      if (!atLimit && !(drops > 0 && count !== 0)) return undefined;
      const lost = { dropped: drops, "insertions failed": grown.conntrackInsertFailures };
      const certainty = atLimit || Number.isNaN(count) ? "proven" : "likely";
      return {
        certainty,
        numbers: { entries: count, limit: max, ...lost },
        weight: drops || 0,
        signs: ["conntrackDrops"],
      };
    },
    remedy: "raise net.netfilter.nf_conntrack_max, or exempt this traffic with a notrack rule",
  },
  {
    id: "ports",
    side: "client",
    title: "no port is left for another connection",
    prove: byError(["EADDRNOTAVAIL", "EADDRINUSE"], ({ run }) => ({
      "source addresses": Math.max(1, run.sources),
      "ports of each": run.ports,
    })),
    remedy: "name more local addresses with --source-addresses, or widen net.ipv4.ip_local_port_range",
  },
  {
    id: "client-descriptors",
    side: "client",
    title: "the generators ran out of descriptors",
    prove: byError(["EMFILE"], ({ run }) => ({ "descriptor limit": run.nofile, generators: run.generators })),
    remedy: "use more --generators, or raise the limit: ulimit -Hn",
  },
  {
    id: "descriptors",
    side: "server",
    title: "a worker of the gateway is out of descriptors: its clients connect and get no answer",
    prove({ gateway, failed }) {
      const left = gateway?.descriptorsLeft ?? Number.NaN;
      if (!(left < WORKER_OWN_DESCRIPTORS)) return undefined;
      const numbers = { "descriptors left in the fullest worker": left };
      return { certainty: "proven", numbers, weight: failed.timeout ?? 0, signs: ["timeout"] };
    },
    remedy: "more workers, or a higher descriptor limit for them: ulimit -Hn",
  },
  {
    id: "file-max",
    side: "both",
    title: "this system's open files are at fs.file-max",
    prove: byError(["ENFILE"], ({ peak }) => ({ "files open": peak.filesOpen, limit: peak.filesMax })),
    remedy: "raise fs.file-max",
  },
  {
    id: "file-max",
    side: "server",
    title: "this system's open files are at fs.file-max: the gateway cannot accept",
    prove({ peak, failed, run, gateway }) {
      const reached = run.colocated && isAtLimit(peak.filesOpen, peak.filesMax) && gateway?.capLimit !== "file-max";
      if (!reached) return undefined;
      const numbers = { "files open": peak.filesOpen, limit: peak.filesMax };
      return { certainty: "likely", numbers, weight: failed.timeout ?? 0, signs: ["timeout"] };
    },
    remedy: "raise fs.file-max",
  },
  {
    id: "epoll-watches",
    side: "client",
    title: "this user's epoll watches are used up",
    prove: byError(["ENOSPC"], ({ peak }) => ({ limit: peak.epollWatches })),
    remedy: "raise fs.epoll.max_user_watches",
  },
  {
    id: "gateway-full",
    side: "server",
    title: "the gateway answers that it is full",
    prove({ failed, gateway }) {
      const refused = failed.http_503 ?? 0;
      if (refused === 0 || (gateway && gateway.capLimit !== "" && isAtLimit(gateway.connections, gateway.cap))) {
        return undefined;
      }
      return { certainty: "likely", numbers: { http_503: refused }, weight: refused, signs: ["http_503"] };
    },
    remedy: "start the gateway for more --connections; with --admin-url the load names the limit",
  },
  {
    id: "worker-died",
    side: "server",
    title: "workers of the gateway died and were started again",
    prove({ gateway }) {
      const restarts = gateway?.restarts ?? 0;
      if (!(restarts > 0)) return undefined;
      return { certainty: "proven", numbers: { restarts }, weight: restarts, signs: ["eof", "ECONNRESET"] };
    },
    remedy: "read the gateway's log: it names the signal or the status with which each of them ended",
  },
  {
    id: "orphans",
    side: "both",
    title: "too many sockets without a process: the kernel resets those that still had data to send",
    prove({ grown, peak }) {
      // The kernel counts double or fourfold for sockets that misbehave, so that half of the limit may be the limit.
      if (!(grown.abortsOnMemory > 0 && peak.orphans * 2 >= peak.orphansMax)) return undefined;
      const numbers = { aborted: grown.abortsOnMemory, orphans: peak.orphans, limit: peak.orphansMax };
      return { certainty: "proven", numbers, weight: grown.abortsOnMemory, signs: ["abortsOnMemory"] };
    },
    remedy: "raise net.ipv4.tcp_max_orphans",
  },
  {
    id: "tcp-mem",
    side: "both",
    title: "the queues of all TCP sockets together are at the limit: data is dropped and sockets are aborted",
    prove({ grown, peak }) {
      const aborted = grown.abortsOnMemory > 0 && !(peak.orphans * 2 >= peak.orphansMax);
      const atLimit = isAtLimit(peak.tcpPages, peak.tcpPagesMax);
      if (!aborted && !atLimit && !(grown.memoryPressures > 0)) return undefined;
      const { memoryPressures: pressures, abortsOnMemory } = grown;
      const numbers = { pages: peak.tcpPages, limit: peak.tcpPagesMax, aborted: abortsOnMemory, pressures };
      const certainty = aborted || atLimit ? "proven" : "likely";
      return { certainty, numbers, weight: abortsOnMemory || 0, signs: ["abortsOnMemory", "memoryPressures"] };
    },
    remedy:
      "raise the last number of net.ipv4.tcp_mem (pages), or bound each socket with tcp_wmem and tcp_notsent_lowat",
  },
  {
    id: "accept-queue",
    side: "server",
    title: "the accept queue overflowed: handshakes wait for retransmitted packets, 1, 3 and 7 s",
    prove({ grown, peak, run }) {
      const drops = Math.max(grown.listenOverflows || 0, grown.listenDrops || 0) + (grown.requestQueueDrops || 0);
      if (drops === 0 || !run.colocated) return undefined;
      const numbers = {
        "listen overflows": grown.listenOverflows,
        "listen drops": grown.listenDrops,
        "net.core.somaxconn": peak.somaxconn,
        "SYN retransmits": grown.synRetransmits,
      };
      return { certainty: "likely", numbers, weight: drops, signs: ["listenOverflows", "listenDrops"] };
    },
    remedy: "raise net.core.somaxconn and tcp_max_syn_backlog before the gateway starts, or give it more cores",
    orLoad: "lower --in-flight",
  },
  {
    id: "packet-backlog",
    side: "both",
    title: "packets were lost because a core's queue of arrivals was full",
    prove({ grown }) {
      if (!(grown.softnetDrops > 0)) return undefined;
      const numbers = { dropped: grown.softnetDrops, "SYN retransmits": grown.synRetransmits };
      return { certainty: "likely", numbers, weight: grown.softnetDrops, signs: ["softnetDrops"] };
    },
    remedy: "raise net.core.netdev_max_backlog",
    orLoad: "lower --in-flight",
  },
  {
    id: "half-range",
    side: "client",
    title: "more than half of the port range is in use: each connect() searches a hundred times longer",
    prove({ open, run, perSecond }) {
      const half = (run.ports / 2) * Math.max(1, run.sources);
      if (run.wholeRange || open <= half || perSecond.after * CLIFF_DROP >= perSecond.before) return undefined;
      const rates = { "a second before": Math.round(perSecond.before), after: Math.round(perSecond.after) };
      const numbers = { "half of all ports": Math.floor(half), ...rates };
      return { certainty: "likely", numbers, weight: open - half, signs: [] };
    },
    remedy: "name more local addresses with --source-addresses, or use Linux 6.3 or newer",
  },
  {
    id: "unanswered",
    side: "server",
    title: "attempts were not answered, and no counter on this host says why",
    prove({ failed, run }) {
      const silent = (failed.timeout ?? 0) + (failed.ETIMEDOUT ?? 0);
      if (silent === 0 || run.colocated) return undefined;
      return {
        certainty: "possible",
        numbers: { "timed out": silent },
        weight: silent,
        signs: ["timeout", "ETIMEDOUT"],
      };
    },
    remedy:
      "check the gateway's host and the machines in between: a full connection-tracking table there drops packets without an error",
  },
  {
    id: "cpu",
    side: "both",
    title: "all cores are busy",
    prove({ busy, run }) {
      if (!(busy >= BUSY)) return undefined;
      const numbers = { "busy per cent": Math.round(busy * 100), cores: run.cores };
      return { certainty: "possible", numbers, weight: 0, signs: [] };
    },
    remedy: "take more cores, or let clients come more slowly",
    orLoad: "lower --rate and --in-flight so that open connections are served in time",
  },
];
