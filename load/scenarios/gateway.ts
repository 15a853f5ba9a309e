/**
 * The gateway during a scenario, by its admin address: is it ready, which are its workers, what became of unsent pushes.
 * Runs in the coordinator. A worker is killed only by a pid that the gateway names as its own and that this host confirms.
 */
import { readFileSync } from "node:fs";
import { GatewayError } from "../../src/errors.js";
import { MachineReader } from "../../sysctl/kernel/machine.js";

const WITHIN_MS = 5000;
const READY_EVERY_MS = 250;

interface Row {
  readonly role: string;
  readonly pid: number;
  readonly connections?: number;
}

export interface Worker {
  readonly pid: number;
  readonly connections: number;
}

async function ask(adminUrl: string, path: string, method = "GET"): Promise<Response> {
  return await fetch(`${adminUrl.replace(/\/$/, "")}${path}`, { method, signal: AbortSignal.timeout(WITHIN_MS) });
}

export interface Roll {
  readonly state: string;
  readonly replaced: number;
  readonly of: number;
  readonly detail: string;
}

/** How a rolling restart stands, or the answer to being asked for one. Throws `failed` when the gateway will not. */
export async function askRoll(adminUrl: string, method: "GET" | "POST"): Promise<Roll> {
  const answer = await ask(adminUrl, "/restart-workers", method);
  if (answer.ok) return (await answer.json()) as Roll;
  throw new GatewayError("failed", `the gateway does not restart its workers: ${await answer.text()}`);
}

/** Connections of the fullest worker, and at how many a worker takes no more. */
export async function fullest(adminUrl: string): Promise<{ max: number; cap: number }> {
  const { workers, cap } = (await (await ask(adminUrl, "/drain")).json()) as { workers: number[]; cap: number };
  return { max: Math.max(0, ...workers), cap };
}

/**
 * The gateway's workers, each confirmed: a worker's program, a child of its supervisor, on this host. In a container the
 * supervisor is process 1, whose children here are the system's services. Throws `refused` for one that is not.
 */
export async function confirmedWorkers(adminUrl: string, host = new MachineReader()): Promise<Worker[]> {
  const { processes } = (await (await ask(adminUrl, "/processes")).json()) as { processes: readonly Row[] };
  const supervisor = processes.find((row) => row.role === "supervisor")?.pid;
  const workers = processes.filter((row) => row.role === "worker");
  for (const { pid } of workers) {
    const parent = parentOf(pid);
    const isWorker = host.runs({ pid, role: "worker" });
    if (supervisor !== undefined && parent === supervisor && isWorker && pid > 1) continue;
    const other = parent === supervisor ? "is no worker" : `is a child of ${parent}, not of the supervisor`;
    const is = parent === undefined ? "is not on this host" : other;
    throw new GatewayError(
      "refused",
      `drill kills workers of the gateway at ${adminUrl}, but process ${pid}, which it names, ${is}.\n` +
        "Remedy: run the drill on the gateway's own host, in the same pid namespace",
    );
  }
  return workers.map(({ pid, connections = 0 }) => ({ pid, connections }));
}

function parentOf(pid: number): number | undefined {
  try {
    const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return parent === undefined ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

export interface GatewayCounters {
  readonly restarts: number;
  /** The accept rate that it goes by; null when it does not say. */
  readonly acceptPerSecond: number | null;
  /** Pushes that were not sent, and refused handshakes, by reason. */
  readonly unsent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
}

export async function readCounters(adminUrl: string): Promise<GatewayCounters> {
  return parseCounters(await (await ask(adminUrl, "/metrics")).text());
}

export function parseCounters(text: string): GatewayCounters {
  const sample = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  const rate = sample("megagate_accept_rate_budget");
  return {
    restarts: sample("megagate_worker_restarts_total"),
    acceptPerSecond: rate > 0 ? rate : null,
    unsent: byReason(text, "megagate_unsent_messages_total"),
    refused: byReason(text, "megagate_refused_total"),
  };
}

function byReason(text: string, name: string): Record<string, number> {
  const rows = text.matchAll(new RegExp(`^${name}\\{reason="([^"]+)"\\} (\\S+)$`, "gm"));
  return Object.fromEntries([...rows].map(([, reason = "", n]) => [reason, Number(n)]));
}

/** What grew between two looks; what did not is left out. */
export function grown(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const rows = Object.entries(after).map(([reason, n]): [string, number] => [reason, n - (before[reason] ?? 0)]);
  return Object.fromEntries(rows.filter(([, n]) => n > 0));
}

/** Asks now and then whether the gateway is ready, and adds up for how long it was not. */
export class Readiness {
  private readonly timer: NodeJS.Timeout;
  private asking = false;
  private lastMs = performance.now();
  notReadyMs = 0;

  constructor(private readonly adminUrl: string) {
    this.timer = setInterval(() => {
      if (!this.asking) void this.sample();
    }, READY_EVERY_MS);
  }

  end(): void {
    clearInterval(this.timer);
  }

  private async sample(): Promise<void> {
    this.asking = true;
    const ready = await ask(this.adminUrl, "/readyz").then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
    const nowMs = performance.now();
    if (!ready) this.notReadyMs += nowMs - this.lastMs;
    this.lastMs = nowMs;
    this.asking = false;
  }
}
