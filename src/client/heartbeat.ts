/**
 * Finds out that a connection is dead although nobody closed it: sends a heartbeat after a while without a message, and reports
 * the connection dead after a while without an answer. One timer, set only while the connection is open; a message costs one
 * assignment. The interval is shortened at random by up to a quarter, because a broadcast makes a million clients idle at the
 * same instant. A gateway with many clients may ask for a longer one.
 */

import type { Clock } from "./environment.js";
import { Wakeup } from "./wakeup.js";

export interface HeartbeatSettings {
  readonly clock: Clock;
  readonly random: () => number;
  /** Idle time after which a heartbeat is sent. */
  readonly heartbeatMs: number;
  /** After a heartbeat some message must arrive within this time. */
  readonly answerTimeoutMs: number;
}

/** How often requests without an answer are checked, however long the interval is. */
const POLL_MS = 25_000;

interface HeartbeatDeps {
  sendHeartbeat(): void;
  /** Whether a request has waited too long for its answer although the connection is alive. */
  isOverdue(): boolean;
  died(reason: string): void;
}

export class Heartbeat {
  readonly #settings: HeartbeatSettings;
  readonly #deps: HeartbeatDeps;
  readonly #wakeup: Wakeup;
  #messageMs = 0;
  #intervalMs: number;

  constructor(settings: HeartbeatSettings, deps: HeartbeatDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#wakeup = new Wakeup(settings.clock);
    this.#intervalMs = settings.heartbeatMs;
  }

  /** From the next interval on. */
  setIntervalMs(ms: number): void {
    this.#intervalMs = ms;
  }

  start(): void {
    this.onMessage();
    this.#waitForIdle();
  }

  /** Any message shows that the connection is alive. */
  onMessage(): void {
    this.#messageMs = this.#settings.clock.now();
  }

  /** Sends a heartbeat now, whatever the timer says: the machine slept, or the page was hidden. */
  check(): void {
    this.#deps.sendHeartbeat();
    const askedMs = this.#settings.clock.now();
    this.#wakeup.set(this.#settings.answerTimeoutMs, () => {
      if (this.#messageMs < askedMs) this.#deps.died("no answer to a heartbeat");
      else this.#waitForIdle();
    });
  }

  #waitForIdle(): void {
    const sinceMs = this.#messageMs;
    this.#waitUntil(sinceMs + this.#intervalMs * (1 - this.#settings.random() / 4), sinceMs);
  }

  /** `dueMs` was drawn for the idle time that began at `sinceMs`. */
  #waitUntil(dueMs: number, sinceMs: number): void {
    const { clock } = this.#settings;
    this.#wakeup.set(Math.min(Math.max(dueMs - clock.now(), 0), POLL_MS), () => {
      if (this.#deps.isOverdue()) this.#deps.died("no answer to a request");
      else if (this.#messageMs !== sinceMs) this.#waitForIdle();
      else if (clock.now() >= dueMs) this.check();
      else this.#waitUntil(dueMs, sinceMs);
    });
  }

  stop(): void {
    this.#wakeup.clear();
  }
}
