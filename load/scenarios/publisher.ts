/**
 * A steady stream of publications during a scenario, one topic after the other. Remembers the newest position of each topic,
 * which every connection must have reached in the end. Runs in the coordinator.
 */
import { monotonicMs } from "../generator/clock.js";
import { count, type Tally } from "../generator/messages.js";
import { broadcastData } from "../generator/protocol.js";
import type { Position } from "../reconnects/steps.js";
import type { AdminClient } from "../run/target.js";

const TICK_MS = 5;
/** Unanswered requests at most: beyond that the hub is away, and the publications that are due are left out and counted. */
const MAX_UNANSWERED = 1000;
const DRAIN_MS = 15_000;
const DRAIN_POLL_MS = 20;

export interface Stream {
  readonly topics: readonly string[];
  readonly ratePerSecond: number;
  readonly bytes: number;
  /** Publications of a topic replace each other under this key. */
  readonly key: string | undefined;
  readonly run: string;
}

export class Publisher {
  readonly #admin: AdminClient;
  readonly #stream: Stream;
  readonly heads: (Position | null)[];
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #beganMs = monotonicMs();
  #begun = 0;
  #unanswered = 0;
  published = 0;
  readonly failures: Tally = {};

  constructor(admin: AdminClient, stream: Stream) {
    this.#admin = admin;
    this.#stream = stream;
    this.heads = stream.topics.map(() => null);
    if (stream.ratePerSecond > 0) this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    const due = Math.floor(((monotonicMs() - this.#beganMs) / 1000) * this.#stream.ratePerSecond);
    while (this.#begun < due) {
      const n = ++this.#begun;
      if (this.#unanswered < MAX_UNANSWERED) void this.#publish(n);
      else count(this.failures, "left out: too many unanswered");
    }
  }

  async #publish(n: number): Promise<void> {
    const { topics, bytes, key, run } = this.#stream;
    const topic = n % topics.length;
    this.#unanswered++;
    try {
      const data = broadcastData({ run, n, publishedAtMs: monotonicMs() }, bytes);
      const position = await this.#admin.publish(topics[topic]!, data, key);
      const known = this.heads[topic];
      if (known?.epoch !== position.epoch || known.offset < position.offset) this.heads[topic] = position;
      this.published++;
    } catch (error) {
      count(this.failures, (error as Error).message.slice(0, 100));
    }
    this.#unanswered--;
  }

  /** Stops publishing; resolves when every request is answered, or after DRAIN_MS. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const deadlineMs = monotonicMs() + DRAIN_MS;
    while (this.#unanswered > 0 && monotonicMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }
}
