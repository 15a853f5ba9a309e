/**
 * Finds out that a connection is dead although nobody closed it: after a while without any message it asks, and after a
 * while without any answer it says so. One timer, set only while the connection is open; a message costs one assignment.
 * The interval is shortened at random by up to a quarter: a broadcast makes a million clients idle at the same instant. A
 * gateway with many clients may ask for a longer one.
 */

import type { Clock } from "./environment.js";
import { Wakeup } from "./wakeup.js";

export interface HeartbeatSettings {
  readonly clock: Clock;
  readonly random: () => number;
  /** Idle time after which a heartbeat is sent. */
  readonly heartbeatMs: number;
  /** Time that any message has to arrive in after it. */
  readonly answerTimeoutMs: number;
}

/** How often it looks for requests without an answer, however long the interval is. */
const POLL_MS = 25_000;

interface Patient {
  sendHeartbeat(): void;
  /** Whether a request has waited too long for its answer although the connection is alive. */
  isOverdue(): boolean;
  died(reason: string): void;
}

export class Heartbeat {
  readonly #settings: HeartbeatSettings;
  readonly #patient: Patient;
  readonly #wakeup: Wakeup;
  #heardMs = 0;
  #everyMs: number;

  constructor(settings: HeartbeatSettings, patient: Patient) {
    this.#settings = settings;
    this.#patient = patient;
    this.#wakeup = new Wakeup(settings.clock);
    this.#everyMs = settings.heartbeatMs;
  }

  /** From now on; what is under way ends first. */
  every(ms: number): void {
    this.#everyMs = ms;
  }

  start(): void {
    this.heard();
    this.#waitForIdle();
  }

  /** Any message proves life. */
  heard(): void {
    this.#heardMs = this.#settings.clock.now();
  }

  /** Asks now, whatever the timer says: the machine slept, or the page was hidden. */
  check(): void {
    this.#patient.sendHeartbeat();
    const askedMs = this.#settings.clock.now();
    this.#wakeup.set(this.#settings.answerTimeoutMs, () => {
      if (this.#heardMs < askedMs) this.#patient.died("no answer to a heartbeat");
      else this.#waitForIdle();
    });
  }

  #waitForIdle(): void {
    const sinceMs = this.#heardMs;
    this.#waitUntil(sinceMs + this.#everyMs * (1 - this.#settings.random() / 4), sinceMs);
  }

  /** `dueMs` was drawn for the silence that began at `sinceMs`. */
  #waitUntil(dueMs: number, sinceMs: number): void {
    const { clock } = this.#settings;
    this.#wakeup.set(Math.min(Math.max(dueMs - clock.now(), 0), POLL_MS), () => {
      if (this.#patient.isOverdue()) this.#patient.died("no answer to a request");
      else if (this.#heardMs !== sinceMs) this.#waitForIdle();
      else if (clock.now() >= dueMs) this.check();
      else this.#waitUntil(dueMs, sinceMs);
    });
  }

  stop(): void {
    this.#wakeup.clear();
  }
}
