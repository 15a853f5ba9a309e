/**
 * The gateway during a scenario, as its admin address reports it: whether it is ready, its workers, its counters of unsent
 * pushes. Runs in the coordinator. A worker may be killed only if the gateway names its pid and this host confirms it.
 */
import { readFileSync } from "node:fs";
import { type AdminAccess, authorization, whyNotAdmitted } from "../../src/config/admin-access.js";
import { GatewayError } from "../../src/errors.js";
import { MachineReader } from "../../sysctl/kernel/machine.js";

const WITHIN_MS = 5000;
const READY_EVERY_MS = 250;

interface Row {
  readonly role: string;
  readonly pid: number;
  readonly connections?: number;
}

export interface GatewayWorker {
  readonly pid: number;
  readonly connections: number;
}

/** Throws `failed`, in words, where the gateway does not accept the key. */
async function ask(access: AdminAccess, path: string, method = "GET"): Promise<Response> {
  const init = { method, headers: authorization(access), signal: AbortSignal.timeout(WITHIN_MS) };
  const answer = await fetch(access.adminUrl.replace(/\/$/, "") + path, init);
  const { status } = answer;
  if (status !== 401 && status !== 403) return answer;
  const { code, error } = (await answer.clone().json()) as { code?: unknown; error?: unknown };
  const why = whyNotAdmitted({ status, code, error }, access);
  if (why === undefined) return answer;
  throw new GatewayError("failed", why);
}

export interface RollingRestart {
  readonly state: string;
  readonly replaced: number;
  readonly of: number;
  readonly detail: string;
}

/** GET: the progress of a rolling restart; POST: begins one. Throws `failed` when the gateway refuses. */
export async function rollingRestart(access: AdminAccess, method: "GET" | "POST"): Promise<RollingRestart> {
  const answer = await ask(access, "/restart-workers", method);
  if (answer.ok) return (await answer.json()) as RollingRestart;
  throw new GatewayError("failed", `the gateway does not restart its workers: ${await answer.text()}`);
}

/** Connections of the fullest worker, and the cap at which a worker stops listening. */
export async function workerLoad(access: AdminAccess): Promise<{ max: number; cap: number }> {
  const { workers, cap } = (await (await ask(access, "/drain")).json()) as { workers: number[]; cap: number };
  return { max: Math.max(0, ...workers), cap };
}

/**
 * The gateway's workers, each confirmed: it runs a worker's program, as a child of the gateway's supervisor, on this host. (A
 * supervisor in a container is process 1, whose children here are the system's services.) Throws `refused` otherwise.
 */
export async function confirmedWorkers(access: AdminAccess, host = new MachineReader()): Promise<GatewayWorker[]> {
  const { processes } = (await (await ask(access, "/processes")).json()) as { processes: readonly Row[] };
  const supervisor = processes.find((row) => row.role === "supervisor")?.pid;
  const workers = processes.filter((row) => row.role === "worker");
  for (const { pid } of workers) {
    const parent = parentOf(pid);
    const isWorker = host.runs({ pid, role: "worker" });
    if (supervisor !== undefined && parent === supervisor && isWorker && pid > 1) continue;
    const wrong = parent === supervisor ? "is not a worker" : `is a child of ${parent}, not of the supervisor`;
    const fault = parent === undefined ? "is not on this host" : wrong;
    throw new GatewayError(
      "refused",
      `drill kills workers of the gateway at ${access.adminUrl}, but process ${pid}, which it names, ${fault}.\n` +
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
  /** The accept rate of its admission; null when the metric is absent or 0. */
  readonly acceptPerSecond: number | null;
  /** Pushes that were not sent, and refused handshakes, by reason. */
  readonly unsent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
}

export async function readCounters(access: AdminAccess): Promise<GatewayCounters> {
  return parseCounters(await (await ask(access, "/metrics")).text());
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

/** The counters that grew between two scrapes, each with its growth. */
export function grown(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const rows = Object.entries(after).map(([reason, n]): [string, number] => [reason, n - (before[reason] ?? 0)]);
  return Object.fromEntries(rows.filter(([, n]) => n > 0));
}

/** Polls /readyz and adds up for how long the gateway was not ready. */
export class ReadinessProbe {
  readonly #access: AdminAccess;
  readonly #timer: NodeJS.Timeout;
  #asking = false;
  #lastMs = performance.now();
  notReadyMs = 0;

  constructor(access: AdminAccess) {
    this.#access = access;
    this.#timer = setInterval(() => {
      if (!this.#asking) void this.#sample();
    }, READY_EVERY_MS);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #sample(): Promise<void> {
    this.#asking = true;
    const ready = await ask(this.#access, "/readyz").then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
    const nowMs = performance.now();
    if (!ready) this.notReadyMs += nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#asking = false;
  }
}
