/**
 * Entry file of the step process: a child that enters a new network namespace, lets holders open connections in it, and reports
 * the kernel's and the holders' counts once no connect is in flight. It runs one step, and the proof ends it. If the proof dies,
 * it ends by itself, and its holders with it.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { spread } from "../../src/config/capacity.js";
import { GatewayError } from "../../src/errors.js";
import { endChildren, forkChild, leaveWithParent, sendReport } from "./children.js";
import { readNamespaceCounters } from "./counters.js";
import {
  addHolderCounts,
  type HolderConfig,
  type HolderCounts,
  type HolderReport,
  noHolderCounts,
  type StepConfig,
  type StepFinding,
} from "./messages.js";
import { enterNewNamespace } from "./namespace.js";
import { trackConnections } from "./tracking.js";

const PORT = 8080;
const POLL_EVERY_MS = 100;
const READY_WITHIN_MS = 60_000;
/** Connections that are open for the clients may wait in the listeners' queues for a moment. */
const ACCEPTED_WITHIN_MS = 10_000;

/** The namespace's own values; with the kernel's defaults other limits than the table would bind. */
const VALUES = {
  "net/core/somaxconn": "65535",
  "net/ipv4/tcp_max_syn_backlog": "65535",
  "net/ipv4/ip_local_port_range": "1024 65535",
  "net/ipv4/ip_local_reserved_ports": String(PORT),
};

/** The holder processes of one side, and their counts. */
class Holders {
  readonly children: ChildProcess[] = [];
  readonly #counts: HolderCounts[] = [];
  death: string | undefined;

  async start(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.children.push(forkChild(new URL("./holder.js", import.meta.url)));
    const ready = this.children.map(async (child, i) => {
      const signal = AbortSignal.timeout(READY_WITHIN_MS);
      this.#counts[i] = { ...noHolderCounts(), settled: false };
      child.once("exit", (code, name) => {
        this.death ??= `a holder ended by itself (${name ?? `status ${code ?? "unknown"}`})`;
      });
      await Promise.race([once(child, "message", { signal }), once(child, "exit", { signal })]);
      child.on("message", (report: HolderReport) => {
        if (report.type === "counts") this.#counts[i] = report.counts;
      });
    });
    await Promise.all(ready);
  }

  configure(configs: readonly HolderConfig[]): void {
    // Sending to a dead child fails; its death shows by its exit event.
    for (const [i, config] of configs.entries()) this.children[i]?.send(config, () => undefined);
  }

  total(): HolderCounts {
    return addHolderCounts(this.#counts);
  }
}

async function run(step: StepConfig): Promise<StepFinding> {
  for (const [key, value] of Object.entries(VALUES)) writeFileSync(`/proc/sys/${key}`, value);
  if (step.tracked) trackConnections();
  const servers = new Holders();
  const clients = new Holders();
  try {
    await Promise.all([servers.start(step.holders), clients.start(step.holders)]);
    servers.configure(servers.children.map(() => ({ type: "accept", port: PORT })));
    // A listener reports its first counts once it listens.
    await until(() => servers.total().settled, servers);
    const startedMs = performance.now();
    clients.configure(clientConfigs(step));
    await until(() => clients.total().settled, clients, servers);
    const seconds = Number(((performance.now() - startedMs) / 1000).toFixed(2));
    const openByMs = performance.now() + ACCEPTED_WITHIN_MS;
    const same = (): boolean => servers.total().open === clients.total().open;
    await until(() => same() || performance.now() > openByMs, clients, servers);
    return findingOf(servers.total(), clients.total(), seconds);
  } finally {
    // The clients first: their ends reset the connections, so that no socket lingers.
    await endChildren(clients.children);
    await endChildren(servers.children);
  }
}

/** Each client process has its own source address, and with it its own range of ports. */
const clientConfigs = ({ connections, holders, connectTimeoutMs }: StepConfig): HolderConfig[] =>
  spread(connections, holders).map((share, i) => ({
    type: "connect",
    port: PORT,
    source: `127.1.${Math.floor(i / 200)}.${1 + (i % 200)}`,
    connections: share,
    timeoutMs: connectTimeoutMs,
  }));

function findingOf(accepted: HolderCounts, connected: HolderCounts, seconds: number): StepFinding {
  const { open, timedOut } = connected;
  const { errors } = addHolderCounts([accepted, connected]);
  return { open, accepted: accepted.open, timedOut, errors, ...readNamespaceCounters(), seconds };
}

/** Reports the progress of the first side until the condition holds. The proof, not this process, has the deadline. */
async function until(condition: () => boolean, ...sides: Holders[]): Promise<void> {
  while (!condition()) {
    const death = sides.find((holders) => holders.death !== undefined)?.death;
    if (death !== undefined) throw new GatewayError("failed", death);
    sendReport({ type: "progress", counts: sides[0]!.total() });
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}

async function runAndReport(step: StepConfig): Promise<void> {
  try {
    sendReport({ type: "done", finding: await run(step) });
  } catch (error) {
    const type = error instanceof GatewayError && error.kind === "refused" ? "refused" : "failed";
    sendReport({ type, detail: error instanceof Error ? error.message : String(error) });
  }
}

leaveWithParent("megagate prove step");
process.once("message", (step: StepConfig) => {
  try {
    enterNewNamespace();
  } catch (error) {
    sendReport({ type: "refused", detail: (error as Error).message });
    return;
  }
  void runAndReport(step);
});
