/**
 * Entry file of one generator: a child process that holds its share of the client ends. It takes commands from the
 * coordinator and reports to it. It ignores terminal signals (the coordinator ends it in an orderly way), and ends itself
 * when its channel closes. Some fifty of them run: each import costs fifty times.
 *
 *   coordinator ──commands──► Generator ──► Ramp · Heartbeats · Reconnects ──► Connections ◄──events── Poller (epoll)
 *               ◄──reports───     └──────── Account ◄──opened, failed, lost, message ──────┘
 */
import { Poller, type PollerCallbacks } from "../../sysctl/kernel/epoll.js";
import { EPOLLET } from "../../sysctl/kernel/libc.js";
import { Reconnects } from "../reconnects/reconnects.js";
import { Account } from "./account.js";
import { monotonicMs } from "./clock.js";
import type { ConnectionEvents } from "./connections.js";
import { Connections, ENDED } from "./connections.js";
import { Heartbeats } from "./heartbeats.js";
import { identitiesOf, Numbers } from "./identities.js";
import type { GeneratorCommand, GeneratorConfig, GeneratorReport, Subject } from "./messages.js";
import type { Message, Subscribed } from "./protocol.js";
import { Ramp } from "./ramp.js";

/** How often counts are reported and timeouts checked: less often while nothing happens; an awaited count is reported at once. */
const POLL_EVERY_MS = 500;
const CALM_POLL_EVERY_MS = 2000;
/** Unanswered close frames at most: a million at once would fill the gateway's queues. */
const CLOSING_LIMIT = 128;
/**
 * Ended connections that are handled in one turn: when a worker dies thousands end at once, and the measured latency of the
 * others must not rise because this process is busy with them.
 */
const ENDINGS_PER_TURN = 64;
/** Descriptors that are no client sockets: standard streams, channel, epoll, Node's own. */
const OWN_DESCRIPTORS = 256;

/** The error is ignored: it means that the coordinator has ended, and then no process is left to report to. */
const sendReport = (report: GeneratorReport): void => {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
};

class Generator implements ConnectionEvents, PollerCallbacks {
  readonly #config: GeneratorConfig;
  readonly #poller = new Poller(this);
  readonly #account: Account;
  readonly #connections: Connections;
  readonly #ramp: Ramp;
  readonly #heartbeats: Heartbeats;
  /** Scenarios only: the connections that reconnect. */
  readonly #reconnects: Reconnects | undefined;
  readonly #numbers: Numbers;
  /** Descriptors whose peers have ended. One that is in use again by its turn finds nothing to read, which is harmless. */
  readonly #endings: number[] = [];
  #reported = "";
  /** A count has changed that the coordinator waits for. */
  #urgent = false;
  #nextSample: NodeJS.Timeout | undefined;
  #closeCursor = -1;
  #closing = 0;
  #closeTimeoutMs = 0;

  constructor(config: GeneratorConfig) {
    this.#config = config;
    const slots = config.connections + OWN_DESCRIPTORS;
    this.#numbers = new Numbers(config.first);
    this.#account = new Account(slots, config.run, config.broadcastMessages);
    this.#reconnects =
      config.reconnects &&
      new Reconnects({
        generator: config,
        config: config.reconnects,
        connections: () => this.#connections,
        wake: () => this.#poller.wake(),
      });
    const identities = this.#reconnects?.identities ?? identitiesOf(config);
    this.#connections = new Connections({ config, slots, events: this, identities });
    this.#ramp = new Ramp(config.connections, (attempt) => this.#begin(attempt));
    this.#heartbeats = new Heartbeats(this.#connections, () => this.#poller.wake());
    this.#sample();
  }

  #begin(attempt: number): void {
    this.#connections.start(attempt, this.#reconnects ? this.#reconnects.fresh() : this.#numbers.take());
  }

  handle(command: Exclude<GeneratorCommand, { type: "configure" }>): void {
    switch (command.type) {
      case "ramp":
        this.#ramp.begin(command.ratePerSecond, command.inFlight, monotonicMs());
        break;
      case "halt":
        this.#ramp.halt();
        this.#connections.sweep(0, "given up");
        this.#report();
        break;
      case "heartbeats":
        this.#heartbeats.begin(command.perConnection, command.overMs, this.#account.counts.open);
        break;
      case "collect":
        this.#report();
        sendReport(this.#collect(command.subject));
        break;
      case "step":
        this.#reconnects?.handle(command.step);
        break;
      case "close":
        this.#ramp.halt();
        this.#heartbeats.stop();
        this.#reconnects?.stop();
        this.#closeTimeoutMs = command.withinMs;
        this.#closeCursor = 0;
        break;
    }
    this.#poller.wake();
    this.#sample();
  }

  // PollerCallbacks: called by the poller.

  ready(fd: number, events: number): void {
    if ((events & ENDED) !== 0) this.#endings.push(fd);
    else this.#connections.ready(fd, events);
  }

  turn(): boolean {
    this.#ramp.turn(monotonicMs());
    this.#reconnects?.turn();
    this.#closeSome();
    for (const fd of this.#endings.splice(0, ENDINGS_PER_TURN)) this.#connections.ready(fd, ENDED);
    if (this.#urgent) this.#report();
    const expecting = this.#ramp.expecting || this.#heartbeats.expecting || this.#reconnects?.expecting === true;
    return expecting || this.#closing > 0 || this.#endings.length > 0;
  }

  gatherMs(): number {
    return this.#account.broadcasts.patienceMs();
  }

  // ConnectionEvents: called by the connections.

  watch(fd: number, events: number): number {
    return this.#poller.add(fd, (events | EPOLLET) >>> 0);
  }

  opened(fd: number, tookMs: number, answer: Subscribed): void {
    this.#account.opened(fd, tookMs, answer);
    if (this.#reconnects?.opened(this.#connections.numberOf(fd), answer)) {
      if (this.#reconnects.settled) this.#urgent = true;
      return;
    }
    this.#ramp.opened();
    if (this.#ramp.settled) this.#urgent = true;
  }

  failed(attempt: number, reason: string, number: number): void {
    const retryAfterMs = reason.startsWith("http_") ? this.#connections.retryAfterMs : 0;
    if (this.#reconnects?.failed(number, reason, retryAfterMs)) return;
    this.#account.failed(reason);
    this.#numbers.giveBack(number);
    this.#ramp.failed(attempt, reason, monotonicMs());
    if (this.#ramp.settled) this.#urgent = true;
  }

  lost(reason: string, number: number): void {
    if (this.#reconnects) {
      this.#account.counts.open--;
      this.#reconnects.ended(number, reason);
    } else this.#account.lost(reason);
  }

  ended(number: number): void {
    if (this.#reconnects && this.#closeCursor < 0) {
      this.#account.counts.open--;
      this.#reconnects.left(number);
      return;
    }
    this.#closing--;
    if (this.#connections.held === 0) this.#urgent = true;
  }

  heartbeatAnswered(tookMs: number): void {
    this.#account.heartbeatAnswered(tookMs);
    this.#heartbeats.answered++;
    if (this.#heartbeats.complete) this.#urgent = true;
  }

  message(fd: number, message: Message): void {
    if (this.#reconnects?.message(this.#connections.numberOf(fd), message)) {
      if (this.#account.counts.owing > 0 && this.#reconnects.settled) this.#urgent = true;
      return;
    }
    this.#account.message(fd, message);
    if (this.#account.broadcastComplete) this.#urgent = true;
  }

  odd(what: string): void {
    this.#account.odd(what);
  }

  // Called in turns and by the timer.

  #closeSome(): void {
    if (this.#closeCursor < 0) return;
    while (this.#closing < CLOSING_LIMIT && this.#closeCursor < this.#connections.top) {
      const fd = this.#closeCursor++;
      if (!this.#connections.isOpen(fd)) continue;
      this.#closing++;
      this.#account.counts.open--;
      this.#connections.close(fd);
    }
    if (this.#closeCursor >= this.#connections.top && this.#connections.held === 0) this.#urgent = true;
  }

  readonly #sample = (): void => {
    clearTimeout(this.#nextSample);
    if (this.#closeCursor >= 0) this.#connections.sweep(this.#closeTimeoutMs);
    else if (this.#ramp.inFlight > 0 || this.#reconnects?.expecting)
      this.#connections.sweep(this.#config.connectTimeoutMs);
    const active = this.#ramp.active || this.#closeCursor >= 0 || this.#reconnects?.settled === false;
    if (active) this.#poller.wake();
    this.#nextSample = setTimeout(this.#sample, this.#report() || active ? POLL_EVERY_MS : CALM_POLL_EVERY_MS);
  };

  #collect(subject: Subject): GeneratorReport {
    if (typeof subject === "string" || "broadcast" in subject) return this.#account.collect(subject);
    const none = { histogram: [], delivered: 0, duplicates: 0, lastAtMs: 0 };
    return this.#reconnects
      ? { type: "collected", subject, ...none, part: this.#reconnects.part() }
      : { type: "collected", subject, ...none };
  }

  /** Reports the counts if they have changed; returns whether they have. */
  #report(): boolean {
    this.#urgent = false;
    const counts = this.#account.report();
    counts.inFlight = this.#ramp.inFlight;
    counts.pending = this.#ramp.pending;
    counts.held = this.#connections.held;
    counts.retries = this.#ramp.retries;
    counts.abandoned = this.#ramp.abandoned;
    counts.heartbeatsSent = this.#heartbeats.sent;
    if (this.#reconnects) Object.assign(counts, this.#reconnects.counts());
    const text = JSON.stringify(counts);
    if (text === this.#reported) return false;
    this.#reported = text;
    sendReport({ type: "counts", counts });
    return true;
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
// The coordinator has ended or has disconnected: SIGKILL, because exit() would wait for the thread of the idle wait.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
let generator: Generator | undefined;
process.on("message", (command: GeneratorCommand) => {
  if (command.type === "configure") generator ??= new Generator(command.config);
  else generator?.handle(command);
});
process.title = "megagate generator";
sendReport({ type: "ready" });
