/**
 * Where each of the hub's own metrics comes from: one line a row of the catalogue. The type makes a forgotten row fail to
 * compile. Read at each scrape, from what this process holds already. Hub process only.
 */
import type { Budget } from "../admission/budget.js";
import { topicMemoryBytes } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import type { Acceptor } from "../hub/acceptor.js";
import type { Hub } from "../hub/hub.js";
import type { Wal } from "../hub/wal/wal.js";
import { type HubSamples, memorySamples, type Sample } from "../metrics/exposition.js";
import type { Fleet } from "../metrics/fleet.js";
import type { LimitGauges } from "../metrics/limits.js";
import type { MemoryGauge } from "../metrics/memory.js";
import { ADMIN_REFUSE_REASONS, type AdminRefuseReason } from "../metrics/reasons.js";
import { UWS_VERSION, VERSION } from "../platform.js";
import type { PublishApi } from "../publish/api.js";
import type { Ended, StartHub } from "../supervision/control-channel.js";
import type { Silence } from "./readiness.js";

/** Requests of the admin port that were refused before a route saw them, by their reason. */
export class AdminRefusals {
  readonly #counts = new Map<string, number>(Object.keys(ADMIN_REFUSE_REASONS).map((reason) => [reason, 0]));

  count(reason: AdminRefuseReason): void {
    this.#counts.set(reason, this.#counts.get(reason)! + 1);
  }

  samples(): Sample[] {
    return [...this.#counts].map(([reason, value]) => ({ labels: { reason }, value }));
  }
}

export interface SampleSources {
  readonly given: Pick<StartHub, "workers" | "cap"> & { readonly config: ServeConfig };
  readonly hub: Hub;
  readonly wal: Wal;
  readonly acceptor: Acceptor;
  readonly fleet: Fleet;
  readonly publishApi: PublishApi;
  readonly budget: Budget;
  readonly memory: MemoryGauge;
  readonly limits: LimitGauges;
  readonly silence: Silence;
  readonly refusals: AdminRefusals;
  /** Worker processes that ended since the gateway started. */
  readonly ended: () => Ended;
}

export function hubSamples(sources: SampleSources): HubSamples {
  const { given, hub, wal, acceptor, fleet, publishApi, budget, memory, limits, silence, refusals, ended } = sources;
  const connections = (): number => fleet.total("connections");
  return {
    workerConnections: () => fleet.members().map((member) => ofWorker(member.worker, member.connections)),
    workers: () => fleet.size,
    workersExpected: () => given.workers,
    connectionsCap: () => [{ labels: { limit: given.cap.limit }, value: given.cap.connections }],
    ceiling: () => limits.ceilings(),
    headroom: () => limits.headroom(connections()),
    limitEvents: () => limits.events(),
    workersSilent: () => silence.workers.size,
    hungEnded: () => silence.endedSamples(),
    workerRestarts: () => ended().restarts,
    workerRolls: () => ended().rolled,
    acceptRate: () => budget.rate,
    topics: () => hub.topics,
    topicMemory: () => hub.table.memoryBytes,
    topicMemoryLimit: () => topicMemoryBytes(given.config),
    topicsEvicted: () => hub.table.evicted,
    topicHistoriesShortened: () => hub.table.shortened,
    topicStatesRefused: () => hub.statesRefused,
    topicsUnpublished: () => hub.table.unpublished,
    topicsRenumbered: () => hub.aheadClaims,
    idempotencyIds: () => hub.ids.size,
    idempotencyBytes: () => hub.ids.bytes,
    logBytes: () => wal.bytes,
    logImages: () => (wal.isImaging ? 1 : 0),
    logInMemory: () => (wal.state === "ok" ? 0 : 1),
    logFailures: () => wal.failures,
    logSlowWrites: () => wal.slowWrites,
    publications: () => hub.publications,
    publicationBytes: () => hub.publicationBytes,
    publishRefused: () => publishApi.refused,
    adminRefused: () => refusals.samples(),
    queueBytes: () => acceptor.queues().map((queue) => ofWorker(queue.worker, queue.bytes)),
    queueOverflows: () => acceptor.overflows,
    memory: () => memorySamples(memory, connections()).total,
    memoryPerConnection: () => memorySamples(memory, connections()).each,
    buildInfo: () => [{ labels: { version: VERSION, node: process.version, uws: UWS_VERSION }, value: 1 }],
  };
}

const ofWorker = (worker: number, value: number): Sample => ({ labels: { worker: String(worker) }, value });
