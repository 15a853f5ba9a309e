/**
 * Entry file of one generator: a child process that holds its share of the client ends. Wires poller, connections, pace
 * and account; takes orders from the coordinator and reports to it. It ignores terminal signals (the coordinator ends it
 * in an orderly way) and leaves when its coordinator is gone. Some fifty of them run: each import costs fifty times.
 */

import { Poller, type PollerCallbacks } from "../../sysctl/kernel/epoll.js";
import { EPOLLET } from "../../sysctl/kernel/libc.js";
import { Reconnects } from "../reconnects/reconnects.js";
import { Account } from "./account.js";
import { monotonicMs } from "./clock.js";
import type { ConnectionEvents } from "./connections.js";
import { Connections, ENDED } from "./connections.js";
import { Heartbeats } from "./heartbeats.js";
import { Numbers } from "./identities.js";
import type { Command, GeneratorConfig, Report, Subject } from "./messages.js";
import type { Message, Subscribed } from "./protocol.js";
import { Ramp } from "./ramp.js";

/** Counts and time-outs are looked at this often, less while nothing happens; what somebody waits for is told at once. */
const POLL_EVERY_MS = 500;
const CALM_LOOK_EVERY_MS = 2000;
/** Close frames sent and not answered, at most: a million at once would fill the gateway's queues. */
const CLOSING_LIMIT = 128;
/**
 * Connections that ended, seen to in one turn: when a worker dies thousands end at once, and those that did not must not be
 * found slow because their client was busy with the dead.
 */
const ENDINGS_PER_TURN = 64;
/** Descriptors below and beside the sockets: standard streams, channel, epoll, Node's own. */
const OWN_DESCRIPTORS = 256;

/** A coordinator that was killed just now is noticed here first, and there is nobody to tell. */
const say = (report: Report): void => {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
};

class Generator implements ConnectionEvents, PollerCallbacks {
  private readonly poller = new Poller(this);
  private readonly account: Account;
  private readonly connections: Connections;
  private readonly ramp: Ramp;
  private readonly heartbeats: Heartbeats;
  /** In a scenario, who comes back. */
  private readonly reconnects: Reconnects | undefined;
  private readonly numbers: Numbers;
  /** Descriptors whose peers have ended; a descriptor that is in use again by then only finds nothing to read. */
  private readonly endings: number[] = [];
  private reported = "";
  /** Something happened that the coordinator waits for. */
  private urgent = false;
  private nextLook: NodeJS.Timeout | undefined;
  private closeCursor = -1;
  private closing = 0;
  private closeTimeoutMs = 0;

  constructor(private readonly config: GeneratorConfig) {
    const slots = config.connections + OWN_DESCRIPTORS;
    this.numbers = new Numbers(config.first);
    this.account = new Account(slots, config.run, config.broadcastMessages);
    this.reconnects =
      config.reconnects &&
      new Reconnects(
        config,
        config.reconnects,
        () => this.connections,
        () => this.poller.wake(),
      );
    this.connections = new Connections(config, slots, this, this.reconnects?.identities);
    this.ramp = new Ramp(config.connections, (attempt) => this.begin(attempt));
    this.heartbeats = new Heartbeats(this.connections, () => this.poller.wake());
    this.sample();
  }

  private begin(attempt: number): void {
    this.connections.start(attempt, this.reconnects ? this.reconnects.fresh() : this.numbers.take());
  }

  handle(command: Exclude<Command, { kind: "duty" }>): void {
    switch (command.kind) {
      case "ramp":
        this.ramp.begin(command.ratePerSecond, command.inFlight, monotonicMs());
        break;
      case "halt":
        this.ramp.halt();
        this.connections.sweep(0, "given up");
        this.report();
        break;
      case "heartbeats":
        this.heartbeats.begin(command.perConnection, command.overMs, this.account.counts.open);
        break;
      case "collect":
        this.report();
        say(this.collect(command.subject));
        break;
      case "step":
        this.reconnects?.handle(command.step);
        break;
      case "close":
        this.ramp.halt();
        this.heartbeats.stop();
        this.reconnects?.stop();
        this.closeTimeoutMs = command.withinMs;
        this.closeCursor = 0;
        break;
    }
    this.poller.wake();
    this.sample();
  }

  // What the poller asks for.

  ready(fd: number, events: number): void {
    if ((events & ENDED) !== 0) this.endings.push(fd);
    else this.connections.ready(fd, events);
  }

  turn(): boolean {
    this.ramp.turn(monotonicMs());
    this.reconnects?.turn();
    this.closeSome();
    for (const fd of this.endings.splice(0, ENDINGS_PER_TURN)) this.connections.ready(fd, ENDED);
    if (this.urgent) this.report();
    const expecting = this.ramp.expecting || this.heartbeats.expecting || this.reconnects?.expecting === true;
    return expecting || this.closing > 0 || this.endings.length > 0;
  }

  gatherMs(): number {
    return this.account.broadcasts.patienceMs();
  }

  // What connections tell.

  watch(fd: number, events: number): number {
    return this.poller.add(fd, (events | EPOLLET) >>> 0);
  }

  opened(fd: number, tookMs: number, answer: Subscribed): void {
    this.account.opened(fd, tookMs, answer);
    if (this.reconnects?.opened(this.connections.numberOf(fd), answer)) {
      if (this.reconnects.settled) this.urgent = true;
      return;
    }
    this.ramp.opened();
    if (this.ramp.settled) this.urgent = true;
  }

  failed(attempt: number, reason: string, number: number): void {
    const retryAfterMs = reason.startsWith("http_") ? this.connections.retryAfterMs : 0;
    if (this.reconnects?.failed(number, reason, retryAfterMs)) return;
    this.account.failed(reason);
    this.numbers.giveBack(number);
    this.ramp.failed(attempt, reason, monotonicMs());
    if (this.ramp.settled) this.urgent = true;
  }

  lost(reason: string, number: number): void {
    if (this.reconnects) {
      this.account.counts.open--;
      this.reconnects.ended(number, reason);
    } else this.account.lost(reason);
  }

  ended(number: number): void {
    if (this.reconnects && this.closeCursor < 0) {
      this.account.counts.open--;
      this.reconnects.left(number);
      return;
    }
    this.closing--;
    if (this.connections.held === 0) this.urgent = true;
  }

  heartbeatAnswered(tookMs: number): void {
    this.account.heartbeatAnswered(tookMs);
    this.heartbeats.answered++;
    if (this.heartbeats.complete) this.urgent = true;
  }

  message(fd: number, message: Message): void {
    if (this.reconnects?.message(this.connections.numberOf(fd), message)) {
      if (this.account.counts.owing > 0 && this.reconnects.settled) this.urgent = true;
      return;
    }
    this.account.message(fd, message);
    if (this.account.broadcastComplete) this.urgent = true;
  }

  odd(what: string): void {
    this.account.odd(what);
  }

  // What happens now and then.

  private closeSome(): void {
    if (this.closeCursor < 0) return;
    while (this.closing < CLOSING_LIMIT && this.closeCursor < this.connections.top) {
      const fd = this.closeCursor++;
      if (!this.connections.isOpen(fd)) continue;
      this.closing++;
      this.account.counts.open--;
      this.connections.close(fd);
    }
    if (this.closeCursor >= this.connections.top && this.connections.held === 0) this.urgent = true;
  }

  private readonly sample = (): void => {
    clearTimeout(this.nextLook);
    if (this.closeCursor >= 0) this.connections.sweep(this.closeTimeoutMs);
    else if (this.ramp.inFlight > 0 || this.reconnects?.expecting) this.connections.sweep(this.config.connectTimeoutMs);
    const active = this.ramp.active || this.closeCursor >= 0 || this.reconnects?.settled === false;
    if (active) this.poller.wake();
    this.nextLook = setTimeout(this.sample, this.report() || active ? POLL_EVERY_MS : CALM_LOOK_EVERY_MS);
  };

  private collect(subject: Subject): Report {
    if (typeof subject === "string" || "broadcast" in subject) return this.account.collect(subject);
    const none = { histogram: [], delivered: 0, duplicates: 0, lastAtMs: 0 };
    return this.reconnects
      ? { kind: "collected", subject, ...none, part: this.reconnects.part() }
      : { kind: "collected", subject, ...none };
  }

  /** Tells the coordinator, unless nothing has changed; true if something has. */
  private report(): boolean {
    this.urgent = false;
    const counts = this.account.report();
    counts.inFlight = this.ramp.inFlight;
    counts.pending = this.ramp.pending;
    counts.held = this.connections.held;
    counts.retries = this.ramp.retries;
    counts.abandoned = this.ramp.abandoned;
    counts.heartbeatsSent = this.heartbeats.sent;
    if (this.reconnects) Object.assign(counts, this.reconnects.counts());
    const text = JSON.stringify(counts);
    if (text === this.reported) return false;
    this.reported = text;
    say({ kind: "counts", counts });
    return true;
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
// The coordinator is gone or done: nothing is left to do, and exit() would wait for the thread of the idle wait.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
let generator: Generator | undefined;
process.on("message", (command: Command) => {
  if (command.kind === "duty") generator ??= new Generator(command.config);
  else generator?.handle(command);
});
process.title = "megagate generator";
say({ kind: "ready" });
