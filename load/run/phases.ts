/**
 * The two phases after the ramp: the hold, with heartbeats and the comparison of counts, and the broadcasts.
 * Runs in the coordinator, on the run that coordinator.ts has set up.
 */
import type { MachineReader } from "../../sysctl/kernel/machine.js";
import type { BroadcastEvidence, GatewayCount } from "../evidence/evidence.js";
import { monotonicMs } from "../generator/clock.js";
import { type EncodedHistogram, Histogram } from "../generator/histogram.js";
import { broadcastData } from "../generator/protocol.js";
import { TopicPattern } from "../generator/topics.js";
import type { LoadConfig } from "../options.js";
import type { ReconnectConfig } from "../reconnects/steps.js";
import type { Generators } from "./generators.js";
import type { LoadPlan } from "./plan.js";
import type { RunLimits } from "./stop.js";
import type { AdminClient, Target } from "./target.js";

/** Without any progress for this long, a phase gives up waiting. */
export const STALL_MS = 30_000;
/** The gateway's workers report their counts once a second; a busy machine delays that. */
const COUNT_WITHIN_MS = 15_000;
const COUNT_AGAIN_MS = 500;

export interface RunContext {
  readonly config: LoadConfig;
  readonly target: Target;
  readonly plan: LoadPlan;
  readonly host: MachineReader;
  /** Null when the admin address does not answer. */
  readonly admin: AdminClient | null;
  /** Connections that the gateway held before the run. */
  readonly held: number;
  /** In a scenario, how connections come back. */
  readonly reconnects?: Omit<ReconnectConfig, "first">;
}

/** The parts of a run that its phases use. */
export interface PhaseContext {
  readonly context: RunContext;
  readonly generators: Generators;
  readonly limits: RunLimits;
  /** What did not hold, one sentence each; phases add to it. */
  readonly complaints: string[];
  /** Stands in the data of this run's publications, to distinguish them from those of other publishers. */
  readonly runId: string;
}

export interface Percentiles {
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** Sends heartbeats for as long as the hold lasts, then waits for the last answers. */
export async function holdConnections({
  context,
  generators,
  limits,
}: PhaseContext): Promise<{ asked: number } & Percentiles> {
  const { holdSeconds, heartbeatsPerConnection } = context.config;
  const startedMs = performance.now();
  const overMs = holdSeconds * 1000;
  const answered = (): number => generators.total().heartbeatsAnswered;
  const asked = heartbeatsPerConnection * generators.total().open;
  if (asked > 0) generators.commandAll({ type: "heartbeats", perConnection: heartbeatsPerConnection, overMs });
  await limits.waitFor(() => performance.now() - startedMs >= overMs, Number.POSITIVE_INFINITY);
  await limits.waitFor(() => answered() >= asked, STALL_MS, answered);
  return { asked, ...merged((await generators.collect("heartbeats")).map((part) => part.histogram)) };
}

/** The gateway's own count of connections, as soon as it equals the number that is open here, or the last one within COUNT_WITHIN_MS. */
export async function compareCounts({
  context,
  generators,
  limits,
  complaints,
}: PhaseContext): Promise<GatewayCount | null> {
  const { admin, held } = context;
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
    const exact = found.processes === found.metrics && found.metrics === generators.total().open;
    if (exact || limits.stop || performance.now() > deadlineMs) return found;
    await new Promise((resolve) => setTimeout(resolve, COUNT_AGAIN_MS));
  }
}

/** Publishes broadcast `n` and waits until every connection has it, or no more receive it. Null when it was not published. */
export async function broadcast(phase: PhaseContext, n: number): Promise<BroadcastEvidence | null> {
  const { context, generators, limits, complaints } = phase;
  const { broadcastBytes: bytes, broadcastMessages: messages, connections } = context.config;
  const topics = new TopicPattern(context.config.topic, connections);
  const delivered = (): number => generators.total().delivered;
  const before = delivered();
  const expected = generators.total().open * messages;
  const publishedAtMs = monotonicMs();
  const publishing = settlementOf(context.admin?.publishAll(publications(phase, topics, n)));
  // A gateway that stops reading the request must not delay a run that has to stop.
  await limits.waitFor(() => publishing.isOver, Number.POSITIVE_INFINITY);
  if (publishing.error !== undefined) complaints.push(`broadcast ${n} could not be published: ${publishing.error}`);
  if (!publishing.isOver || publishing.error !== undefined) return null;
  await limits.waitFor(() => delivered() - before >= generators.total().open * messages, STALL_MS, delivered);
  const parts = await generators.collect({ broadcast: n });
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

/** The state of a promise, to be polled. */
function settlementOf(promise: Promise<void> | undefined): { isOver: boolean; error?: string } {
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

/** The lines of a broadcast: `broadcastMessages` to each of its topics, each with the time at which it was made. */
function* publications({ context, runId }: PhaseContext, topics: TopicPattern, n: number): Generator<string> {
  const { connections, broadcastBytes, broadcastMessages } = context.config;
  for (let i = 0; i < (topics.isOwn ? connections : 1); i++) {
    for (let message = 0; message < broadcastMessages; message++) {
      const data = broadcastData({ run: runId, n, publishedAtMs: monotonicMs() }, broadcastBytes);
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
