/**
 * A generator process as the coordinator sees it, without a process: it reports `ready`, opens all its connections at the
 * command `ramp`, and answers every other command at once. A test changes single answers and ends it as a crash would.
 */
import { EventEmitter } from "node:events";
import { monotonicMs } from "../../../../load/generator/clock.js";
import { Histogram } from "../../../../load/generator/histogram.js";
import {
  type GeneratorCommand,
  type GeneratorConfig,
  type GeneratorCounts,
  type GeneratorReport,
  noCounts,
} from "../../../../load/generator/messages.js";
import type { GeneratorProcess } from "../../../../load/run/generators.js";

let nextPid = 900_000;

export class FakeGenerator extends EventEmitter implements GeneratorProcess {
  readonly pid = nextPid++;
  readonly commands: GeneratorCommand[] = [];
  connected = true;
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  config: GeneratorConfig | undefined;
  counts: GeneratorCounts = noCounts();
  /** Commands that it receives and does not act on. */
  ignores = new Set<GeneratorCommand["type"]>();

  constructor({ diesAtStart = false } = {}) {
    super();
    setImmediate(() => {
      if (diesAtStart) this.crash(1, null);
      else this.report({ type: "ready" });
    });
  }

  report(report: GeneratorReport): void {
    this.emit("message", report);
  }

  /** Reports its counts with these changes. */
  reportCounts(changes: Partial<GeneratorCounts>): void {
    this.counts = { ...this.counts, ...changes };
    this.report({ type: "counts", counts: this.counts });
  }

  send(command: GeneratorCommand, sent: () => void): void {
    this.commands.push(command);
    if (!this.ignores.has(command.type)) setImmediate(() => this.#act(command));
    sent();
  }

  disconnect(): void {
    this.connected = false;
    setImmediate(() => this.crash(0, null));
  }

  kill(signal: NodeJS.Signals): void {
    setImmediate(() => this.crash(null, signal));
  }

  crash(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.exitCode !== null || this.signalCode !== null) return;
    this.exitCode = code;
    this.signalCode = signal;
    this.connected = false;
    this.emit("exit", code, signal);
  }

  #act(command: GeneratorCommand): void {
    if (!this.connected) return;
    switch (command.type) {
      case "configure":
        this.config = command.config;
        this.reportCounts({ pending: command.config.connections });
        break;
      case "ramp":
        this.reportCounts({
          open: this.config!.connections,
          held: this.config!.connections,
          pending: 0,
        });
        break;
      case "halt":
        this.reportCounts({ pending: 0, inFlight: 0 });
        break;
      case "heartbeats": {
        const n = command.perConnection * this.counts.open;
        this.reportCounts({ heartbeatsSent: n, heartbeatsAnswered: n });
        break;
      }
      case "collect": {
        const histogram = new Histogram();
        histogram.recordMs(2);
        const { subject } = command;
        const isBroadcast = typeof subject === "object" && "broadcast" in subject;
        const received = {
          delivered: isBroadcast ? this.counts.open : 0,
          duplicates: 0,
          lastAtMs: monotonicMs(),
        };
        this.report({
          type: "collected",
          subject,
          histogram: histogram.encode(),
          ...received,
        });
        break;
      }
      case "close":
        this.reportCounts({ open: 0, held: 0 });
        break;
      case "step":
        break;
    }
  }
}
