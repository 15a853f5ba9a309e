/**
 * Entry file of the stage: a child process that enters a new network namespace, lets holders open connections in it and
 * reports what the kernel and they counted when everything had come to rest. One act for each stage; the proof ends it. It
 * leaves by itself, and its holders with it, when the proof is gone.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { spread } from "../../src/config/capacity.js";
import { GatewayError } from "../../src/errors.js";
import { endChildren, forkChild, leaveWithParent, say } from "./children.js";
import { readCounters } from "./counters.js";
import {
  addCounts,
  type Finding,
  type HolderConfig,
  type HolderCounts,
  type HolderReport,
  noCounts,
  type ProofSetup,
} from "./messages.js";
import { enterNewNamespace } from "./namespace.js";
import { trackConnections } from "./tracking.js";

const PORT = 8080;
const POLL_EVERY_MS = 100;
const READY_WITHIN_MS = 60_000;
/** Connections that the connectors see as open may wait in the listeners' queues for a moment. */
const ACCEPTED_WITHIN_MS = 10_000;

/** The namespace's own values; the kernel's defaults would bound it for other reasons than the table. */
const VALUES = {
  "net/core/somaxconn": "65535",
  "net/ipv4/tcp_max_syn_backlog": "65535",
  "net/ipv4/ip_local_port_range": "1024 65535",
  "net/ipv4/ip_local_reserved_ports": String(PORT),
};

/** The children of one side, and their counts. */
class Holders {
  readonly children: ChildProcess[] = [];
  private readonly counts: HolderCounts[] = [];
  death: string | undefined;

  async start(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.children.push(forkChild(new URL("./holder.js", import.meta.url)));
    const ready = this.children.map(async (child, i) => {
      const signal = AbortSignal.timeout(READY_WITHIN_MS);
      this.counts[i] = { ...noCounts(), settled: false };
      child.once("exit", (code, name) => {
        this.death ??= `a holder ended by itself (${name ?? `status ${code ?? "unknown"}`})`;
      });
      await Promise.race([once(child, "message", { signal }), once(child, "exit", { signal })]);
      child.on("message", (report: HolderReport) => {
        if (report.kind === "counts") this.counts[i] = report.counts;
      });
    });
    await Promise.all(ready);
  }

  give(duties: readonly HolderConfig[]): void {
    // One that has died cannot be told; its death is known by its exit.
    for (const [i, duty] of duties.entries()) this.children[i]?.send(duty, () => undefined);
  }

  total(): HolderCounts {
    return addCounts(this.counts);
  }
}

async function play(scene: ProofSetup): Promise<Finding> {
  for (const [key, value] of Object.entries(VALUES)) writeFileSync(`/proc/sys/${key}`, value);
  if (scene.tracked) trackConnections();
  const acceptors = new Holders();
  const connectors = new Holders();
  try {
    await Promise.all([acceptors.start(scene.holders), connectors.start(scene.holders)]);
    acceptors.give(acceptors.children.map(() => ({ kind: "accept", port: PORT })));
    // A listener has told its first counts.
    await until(() => acceptors.total().settled, acceptors);
    const startedMs = performance.now();
    connectors.give(dutiesOf(scene));
    await until(() => connectors.total().settled, connectors, acceptors);
    const seconds = Number(((performance.now() - startedMs) / 1000).toFixed(2));
    const openByMs = performance.now() + ACCEPTED_WITHIN_MS;
    const same = (): boolean => acceptors.total().open === connectors.total().open;
    await until(() => same() || performance.now() > openByMs, connectors, acceptors);
    return found(acceptors.total(), connectors.total(), seconds);
  } finally {
    // The clients first: their ends reset the connections, and nothing lingers.
    await endChildren(connectors.children);
    await endChildren(acceptors.children);
  }
}

/** Each connector has a source address of its own, and with it a range of ports of its own. */
const dutiesOf = ({ connections, holders, connectTimeoutMs }: ProofSetup): HolderConfig[] =>
  spread(connections, holders).map((share, i) => ({
    kind: "connect",
    port: PORT,
    source: `127.1.${Math.floor(i / 200)}.${1 + (i % 200)}`,
    connections: share,
    timeoutMs: connectTimeoutMs,
  }));

function found(accepted: HolderCounts, connected: HolderCounts, seconds: number): Finding {
  const { open, timedOut } = connected;
  const { errors } = addCounts([accepted, connected]);
  return { open, accepted: accepted.open, timedOut, errors, ...readCounters(), seconds };
}

/** Tells the proof of the progress until the condition holds; there is no deadline here, the proof has it. */
async function until(condition: () => boolean, ...all: Holders[]): Promise<void> {
  while (!condition()) {
    const death = all.find((holders) => holders.death !== undefined)?.death;
    if (death !== undefined) throw new GatewayError("failed", death);
    say({ kind: "progress", counts: all[0]!.total() });
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}

async function perform(scene: ProofSetup): Promise<void> {
  try {
    say({ kind: "done", finding: await play(scene) });
  } catch (error) {
    const kind = error instanceof GatewayError && error.kind === "refused" ? "refused" : "failed";
    say({ kind, detail: error instanceof Error ? error.message : String(error) });
  }
}

leaveWithParent("megagate prove stage");
process.once("message", (scene: ProofSetup) => {
  try {
    enterNewNamespace();
  } catch (error) {
    say({ kind: "refused", detail: (error as Error).message });
    return;
  }
  void perform(scene);
});
