/**
 * The gateway's own numbers that may explain why a curve went flat, read from its admin address within a short time limit.
 * Runs in the coordinator. A gateway may leave out any of them: a missing number is NaN.
 */
import { type AdminAccess, authorization } from "../../src/config/admin-access.js";
import type { GatewayNumbers } from "../../sysctl/attribution/proofs.js";

const WITHIN_MS = 3000;

/** Null when the admin address does not answer. `nofile` returns a process's descriptor limit where it runs on this host. */
export async function readGatewayNumbers(
  access: AdminAccess,
  nofile: (pid: number) => number | undefined,
): Promise<GatewayNumbers | null> {
  try {
    const base = access.adminUrl.replace(/\/$/, "");
    const init = { headers: authorization(access), signal: AbortSignal.timeout(WITHIN_MS) };
    const [metrics, processes] = await Promise.all([
      fetch(`${base}/metrics`, init).then((answer) => answer.text()),
      fetch(`${base}/processes`, init).then((answer) => answer.json()),
    ]);
    return { ...parseMetrics(metrics), descriptorsLeft: descriptorsLeft(processes, nofile) };
  } catch {
    return null;
  }
}

export function parseMetrics(text: string): Omit<GatewayNumbers, "descriptorsLeft"> {
  const sample = (name: string): number =>
    Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  const [, capLimit = "", cap = Number.NaN] = /^megagate_connections_cap\{limit="([^"]*)"\} (\S+)$/m.exec(text) ?? [];
  return {
    connections: sample("megagate_connections"),
    workers: sample("megagate_workers"),
    workersExpected: sample("megagate_workers_expected"),
    workersListening: sample("megagate_workers_listening"),
    refusedFull: sample('megagate_refused_total{reason="full"}'),
    restarts: sample("megagate_worker_restarts_total"),
    cap: Number(cap),
    capLimit,
  };
}

function descriptorsLeft(answer: unknown, nofile: (pid: number) => number | undefined): number {
  const { processes = [] } = answer as {
    processes?: readonly { role: string; pid: number; connections?: number }[];
  };
  const left = processes
    .filter(({ role }) => role === "worker")
    .map(({ pid, connections = 0 }) => (nofile(pid) ?? Number.NaN) - connections);
  return left.length > 0 ? Math.min(...left) : Number.NaN;
}
