/**
 * The limits on how fast connections come and go and on what slow readers cost: rows of the settings table, judged as `tune`
 * judges them, each with what an operator sees where the setting is missing. Pure. Limits on the number of connections are in
 * count-limits.ts.
 */
import { assess, type Finding } from "../check.js";
import type { MachineFacts } from "../kernel/facts.js";
import { type KernelPlan, keepsTcpMemory, kernelPlan } from "../plan.js";
import type { Need } from "../remedies/remedies.js";
import { SETTINGS } from "../settings.js";
import type { DoctorCeiling, DoctorPlan, LimitId, Side, Verdict } from "./ceiling.js";
import { hasClient, hasServer } from "./demand.js";
import { tcpPages } from "./explanations.js";

interface RateRow {
  readonly limit: LimitId;
  readonly key: string;
  readonly side: Side;
  readonly symptom: string;
  readonly applies?: (facts: MachineFacts) => boolean;
  readonly shown?: (facts: MachineFacts) => string;
}

const RATE_ROWS: readonly RateRow[] = [
  {
    limit: "accept-queue",
    key: "net.core.somaxconn",
    side: "server",
    symptom: "TcpExt ListenOverflows rises; clients see SYN retries after 1, 3 and 7 s in a reconnect storm",
  },
  {
    limit: "syn-backlog",
    key: "net.ipv4.tcp_max_syn_backlog",
    side: "server",
    symptom: 'TCPReqQFullDoCookies rises; dmesg: "Possible SYN flooding … Sending cookies"',
  },
  {
    limit: "packet-backlog",
    key: "net.core.netdev_max_backlog",
    side: "both",
    symptom: "the second column of /proc/net/softnet_stat grows in bursts: 1 s for a lost SYN, 0.2 s for lost data",
  },
  {
    limit: "listener-migration",
    key: "net.ipv4.tcp_migrate_req",
    side: "server",
    symptom: "connections in the queue of a worker that stops are reset",
  },
  {
    limit: "orphans",
    key: "net.ipv4.tcp_max_orphans",
    side: "server",
    symptom: 'a full gateway that stops resets those above it; dmesg: "too many orphaned sockets"',
  },
  {
    limit: "unsent-bytes",
    key: "net.ipv4.tcp_notsent_lowat",
    side: "server",
    symptom: "a reader that stalls costs 240 KB of kernel memory before the gateway notices",
  },
  {
    limit: "send-buffer",
    key: "net.ipv4.tcp_wmem",
    side: "server",
    symptom: "a reader that vanishes pins up to the last number in kernel memory until TCP gives up on it",
  },
  {
    limit: "tcp-mem",
    key: "net.ipv4.tcp_mem",
    side: "server",
    symptom: 'when many readers stall at once: dmesg "TCP: out of memory -- consider tuning tcp_mem", data dropped',
    applies: (facts) => !keepsTcpMemory(facts.kernel),
    shown: tcpPages,
  },
  {
    limit: "reserved-ports",
    key: "net.ipv4.ip_local_reserved_ports",
    side: "server",
    symptom: "now and then a restart cannot bind: an outgoing connection, or its TIME_WAIT, has the port",
  },
  {
    limit: "time-wait",
    key: "net.ipv4.tcp_tw_reuse",
    side: "client",
    symptom: "connect() fails with EADDRNOTAVAIL when runs follow each other quickly",
  },
];

export function rateCeilings(facts: MachineFacts, plan: DoctorPlan): Omit<DoctorCeiling, "remedy">[] {
  const { connections, listenPorts } = plan;
  const kernelSettingsPlan = kernelPlan(facts, { connections, listenPorts, coLocated: hasClient(plan) });
  return [
    ...RATE_ROWS.filter((row) => concerns(row.side, plan) && row.applies?.(facts) !== false).map((row) =>
      judged(row, facts, kernelSettingsPlan),
    ),
    securityModules(facts),
  ];
}

export const concerns = (side: Side, plan: DoctorPlan): boolean =>
  side === "both" || (side === "server" ? hasServer(plan) : hasClient(plan));

const VERDICTS: Readonly<Record<Finding["verdict"], Verdict>> = {
  enough: "ok",
  notNeeded: "ok",
  low: "low",
  missing: "unknown",
  unreadable: "unknown",
};

function judged(row: RateRow, facts: MachineFacts, plan: KernelPlan): Omit<DoctorCeiling, "remedy"> {
  const setting = SETTINGS.find(({ key }) => key === row.key);
  if (!setting) throw new Error(`no such setting: ${row.key}`);
  const found = assess(setting, plan, facts.settings.get(row.key) ?? { code: "ENOENT" });
  const now = "now" in found ? found.now.replace(/\s+/g, " ") || "(empty)" : "not visible";
  const need: Need | null =
    found.verdict === "low" ? { kind: "sysctl", key: row.key, value: found.next, scope: setting.scope } : null;
  return {
    limit: row.limit,
    side: row.side,
    counts: false,
    verdict: VERDICTS[found.verdict],
    connections: null,
    current: row.shown?.(facts) ?? now,
    explanation: explained(found),
    symptom: row.symptom,
    need,
  };
}

function explained(found: Finding): string {
  if ("reason" in found) return `${found.reason}.`;
  const { why, lowers } = found.setting;
  return found.verdict === "low" && lowers !== undefined ? `${why} The price: ${lowers}.` : why;
}

/** The model's 4,040 bytes include SELinux labels (56 bytes a socket, measured); other modules were not measured. */
function securityModules({ securityModules: modules }: MachineFacts): Omit<DoctorCeiling, "remedy"> {
  return {
    limit: "security-modules",
    side: "both",
    counts: false,
    verdict: modules === null ? "unknown" : "ok",
    connections: null,
    current: modules === null ? "not visible" : modules.join(", ") || "none",
    explanation:
      "What security modules add to a socket is kernel memory: the model was measured with SELinux' labels, 56 bytes each.",
    symptom: "none: connections take a little more memory",
    need: null,
  };
}
