/**
 * The account of one generator: what its connections did, counted and timed, and what of it the coordinator is told.
 * Runs in generators. It touches no socket.
 */
import { Broadcasts } from "./broadcasts.js";
import { Histogram } from "./histogram.js";
import { type Counts, count, noCounts, type Report, type Subject } from "./messages.js";
import type { Message, Subscribed } from "./protocol.js";

export class Account {
  readonly counts: Counts = noCounts();
  readonly broadcasts: Broadcasts;
  private readonly handshakeTimes = new Histogram();
  private readonly heartbeatTimes = new Histogram();

  constructor(
    slots: number,
    run: string,
    private readonly broadcastMessages: number,
  ) {
    this.broadcasts = new Broadcasts(slots, run);
  }

  opened(fd: number, tookMs: number, answer: Subscribed): void {
    this.counts.open++;
    this.handshakeTimes.recordMs(tookMs);
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
    this.heartbeatTimes.recordMs(tookMs);
  }

  /** A message to an open connection that answers no heartbeat of its own. */
  message(fd: number, message: Message): void {
    switch (message.kind) {
      case "push":
        this.broadcasts.received(fd, message);
        break;
      case "heartbeat":
        this.odd("unexpected heartbeat answer");
        break;
      case "event":
        // Advice, for those who come back.
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
    return this.broadcasts.complete(this.counts.open * this.broadcastMessages);
  }

  report(): Counts {
    this.counts.delivered = this.broadcasts.delivered;
    this.counts.duplicates = this.broadcasts.duplicates;
    this.counts.gaps = this.broadcasts.gaps;
    return this.counts;
  }

  collect(subject: Exclude<Subject, { window: number }>): Report {
    const none = { delivered: 0, duplicates: 0, lastAtMs: 0 };
    if (subject === "handshakes") {
      return { kind: "collected", subject, histogram: this.handshakeTimes.encode(), ...none };
    }
    if (subject === "heartbeats") {
      return { kind: "collected", subject, histogram: this.heartbeatTimes.encode(), ...none };
    }
    const { broadcast: n } = subject;
    return { kind: "collected", subject, histogram: this.broadcasts.encoded(n), ...this.broadcasts.tally(n) };
  }
}
