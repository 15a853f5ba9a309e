/**
 * The two phases after the ramp: the hold, with heartbeats and the comparison of counts, and the broadcasts.
 * Runs in the coordinator, on what coordinator.ts has set up.
 */

import type { MachineReader } from "../../sysctl/kernel/machine.js";
import type { BroadcastEvidence, GatewayCount } from "../evidence/evidence.js";
import { monotonicMs } from "../generator/clock.js";
import { type EncodedHistogram, Histogram } from "../generator/histogram.js";
import { broadcastData } from "../generator/protocol.js";
import { TopicPattern } from "../generator/topics.js";
import type { LoadConfig } from "../options.js";
import type { ReturnDuty } from "../reconnects/steps.js";
import type { Fleet } from "./generators.js";
import type { Plan } from "./plan.js";
import type { Watch } from "./stop.js";
import type { Admin, Target } from "./target.js";

/** Nothing new for this long means that nothing more will come. */
export const STALL_MS = 30_000;
/** The gateway's workers push their counts once a second; a busy machine delays that. */
const COUNT_WITHIN_MS = 15_000;
const COUNT_AGAIN_MS = 500;

export interface RunContext {
  readonly config: LoadConfig;
  readonly target: Target;
  readonly plan: Plan;
  readonly host: MachineReader;
  /** Null when the admin address does not answer. */
  readonly admin: Admin | null;
  /** Connections that the gateway held before the run. */
  readonly held: number;
  /** In a scenario, how connections come back. */
  readonly reconnects?: Omit<ReturnDuty, "first">;
}

/** What a phase works with. */
export interface PhaseContext {
  readonly scene: RunContext;
  readonly fleet: Fleet;
  readonly watch: Watch;
  /** What did not hold, in words; phases add to it. */
  readonly complaints: string[];
  readonly run: string;
}

export interface Percentiles {
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** Heartbeats flow for as long as the hold lasts; then their last answers are awaited. */
export async function holdConnections({ scene, fleet, watch }: PhaseContext): Promise<{ asked: number } & Percentiles> {
  const { holdSeconds, heartbeatsPerConnection } = scene.config;
  const startedMs = performance.now();
  const overMs = holdSeconds * 1000;
  const answered = (): number => fleet.total().heartbeatsAnswered;
  const asked = heartbeatsPerConnection * fleet.total().open;
  if (asked > 0) fleet.orderAll({ kind: "heartbeats", perConnection: heartbeatsPerConnection, overMs });
  await watch.until(() => performance.now() - startedMs >= overMs, Number.POSITIVE_INFINITY);
  await watch.until(() => answered() >= asked, STALL_MS, answered);
  return { asked, ...merged((await fleet.collect("heartbeats")).map((part) => part.histogram)) };
}

/** What the gateway says it holds, once it agrees with what is open here, or at the end of the patience with it. */
export async function compareCounts({ scene, fleet, watch, complaints }: PhaseContext): Promise<GatewayCount | null> {
  const { admin, held } = scene;
  if (!admin) return null;
  const deadlineMs = performance.now() + COUNT_WITHIN_MS;
  for (;;) {
    let found: GatewayCount;
    try {
      const { connections } = await admin.processes();
      const scrape = await admin.scrape();
      const scrapeMs = Number(scrape.tookMs.toFixed(1));
      found = { processes: connections - held, metrics: scrape.connections - held, scrapeMs };
    } catch (error) {
      complaints.push(`the admin address did not answer during the hold: ${(error as Error).message}`);
      return null;
    }
    const exact = found.processes === found.metrics && found.metrics === fleet.total().open;
    if (exact || watch.stop || performance.now() > deadlineMs) return found;
    await new Promise((resolve) => setTimeout(resolve, COUNT_AGAIN_MS));
  }
}

/** Publishes broadcast `n` and waits until everybody has it, or nobody more gets it. Null when it was not published. */
export async function broadcast(stage: PhaseContext, n: number): Promise<BroadcastEvidence | null> {
  const { scene, fleet, watch, complaints } = stage;
  const { broadcastBytes: bytes, broadcastMessages: messages, connections } = scene.config;
  const topics = new TopicPattern(scene.config.topic, connections);
  const delivered = (): number => fleet.total().delivered;
  const before = delivered();
  const expected = fleet.total().open * messages;
  const publishedAtMs = monotonicMs();
  const publishing = settled(scene.admin?.publishAll(publications(stage, topics, n)));
  // A gateway that takes no more must not hold up a run that has to stop.
  await watch.until(() => publishing.isOver, Number.POSITIVE_INFINITY);
  if (publishing.error !== undefined) complaints.push(`broadcast ${n} could not be published: ${publishing.error}`);
  if (!publishing.isOver || publishing.error !== undefined) return null;
  await watch.until(() => delivered() - before >= fleet.total().open * messages, STALL_MS, delivered);
  const parts = await fleet.collect({ broadcast: n });
  const receipts = parts.reduce((sum, part) => sum + part.delivered, 0);
  const lastAtMs = Math.max(0, ...parts.map((part) => part.lastAtMs));
  const tookMs = lastAtMs > 0 ? Number((lastAtMs - publishedAtMs).toFixed(3)) : null;
  return {
    bytes,
    topics: topics.isOwn ? connections : 1,
    messages,
    expected,
    delivered: receipts,
    duplicates: parts.reduce((sum, part) => sum + part.duplicates, 0),
    lastSubscriberMs: tookMs,
    deliveriesPerSecond: tookMs === null ? null : Math.round(receipts / (tookMs / 1000)),
    ...merged(parts.map((part) => part.histogram)),
  };
}

/** A promise that can be looked at. */
function settled(promise: Promise<void> | undefined): { isOver: boolean; error?: string } {
  const state: { isOver: boolean; error?: string } = { isOver: promise === undefined };
  promise?.then(
    () => {
      state.isOver = true;
    },
    (error: unknown) => {
      state.isOver = true;
      state.error = (error as Error).message;
    },
  );
  return state;
}

/** The lines of a broadcast: so many messages to each of its topics, stamped when they are made. */
function* publications({ scene, run }: PhaseContext, topics: TopicPattern, n: number): Generator<string> {
  const { connections, broadcastBytes, broadcastMessages } = scene.config;
  for (let i = 0; i < (topics.isOwn ? connections : 1); i++) {
    for (let message = 0; message < broadcastMessages; message++) {
      const data = broadcastData({ run, n, publishedAtMs: monotonicMs() }, broadcastBytes);
      yield `{"topic":"${topics.of(i)}","data":${data}}`;
    }
  }
}

/** The percentiles over all generators. */
export function merged(encoded: readonly EncodedHistogram[]): Percentiles {
  const all = new Histogram();
  for (const part of encoded) all.merge(part);
  return { p50Ms: all.percentileMs(50), p99Ms: all.percentileMs(99) };
}
