/**
 * The account of one generator: counts and times what its connections did, and answers the coordinator's questions about
 * it. Runs in generators. It touches no socket.
 */
import { Broadcasts } from "./broadcasts.js";
import { Histogram } from "./histogram.js";
import { count, type GeneratorCounts, type GeneratorReport, noCounts, type Subject } from "./messages.js";
import type { Message, Subscribed } from "./protocol.js";

export class Account {
  readonly #broadcastMessages: number;
  readonly counts: GeneratorCounts = noCounts();
  readonly broadcasts: Broadcasts;
  readonly #handshakeTimes = new Histogram();
  readonly #heartbeatTimes = new Histogram();

  constructor(slots: number, run: string, broadcastMessages: number) {
    this.#broadcastMessages = broadcastMessages;
    this.broadcasts = new Broadcasts(slots, run);
  }

  opened(fd: number, tookMs: number, answer: Subscribed): void {
    this.counts.open++;
    this.#handshakeTimes.recordMs(tookMs);
    this.broadcasts.subscribed(fd, answer.offset);
  }

  failed(reason: string): void {
    count(this.counts.failed, reason);
  }

  lost(reason: string): void {
    this.counts.open--;
    count(this.counts.unexpectedCloses, reason);
  }

  heartbeatAnswered(tookMs: number): void {
    this.counts.heartbeatsAnswered++;
    this.#heartbeatTimes.recordMs(tookMs);
  }

  /** A message to an open connection that answers no heartbeat of its own. */
  message(fd: number, message: Message): void {
    switch (message.type) {
      case "push":
        this.broadcasts.received(fd, message);
        break;
      case "heartbeat":
        this.odd("unexpected heartbeat answer");
        break;
      case "event":
        // `retry` is advice for clients that reconnect.
        if (message.name !== "retry") this.odd(`event ${message.name}`);
        break;
      case "subscribed":
        this.odd("second subscription answer");
        break;
      case "other":
        this.odd(message.text);
        break;
    }
  }

  odd(what: string): void {
    count(this.counts.odd, what);
  }

  /** True when all publications of the newest broadcast have reached every open connection. */
  get broadcastComplete(): boolean {
    return this.broadcasts.complete(this.counts.open * this.#broadcastMessages);
  }

  report(): GeneratorCounts {
    this.counts.delivered = this.broadcasts.delivered;
    this.counts.duplicates = this.broadcasts.duplicates;
    this.counts.gaps = this.broadcasts.gaps;
    return this.counts;
  }

  collect(subject: Exclude<Subject, { window: number }>): GeneratorReport {
    const none = { delivered: 0, duplicates: 0, lastAtMs: 0 };
    if (subject === "handshakes") {
      return { type: "collected", subject, histogram: this.#handshakeTimes.encode(), ...none };
    }
    if (subject === "heartbeats") {
      return { type: "collected", subject, histogram: this.#heartbeatTimes.encode(), ...none };
    }
    const { broadcast: n } = subject;
    return { type: "collected", subject, histogram: this.broadcasts.encoded(n), ...this.broadcasts.tally(n) };
  }
}
