/**
 * The generator processes: forks them on their own entry file, sends commands, adds up their counts, and ends them by
 * handle. A generator that dies is kept in `deaths` with its exit status. Runs in the coordinator; touches no socket.
 */
import { type ChildProcess, fork } from "node:child_process";
import { type EventEmitter, once } from "node:events";
import {
  addCounts,
  type GeneratorCommand,
  type GeneratorConfig,
  type GeneratorCounts,
  type GeneratorReport,
  noCounts,
  type Subject,
} from "../generator/messages.js";

/** A generator allocates little: one thread for V8 and one for the idle wait, and a small young generation. */
const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--single-threaded-gc"];
const READY_WITHIN_MS = 60_000;
const COLLECT_WITHIN_MS = 30_000;
const EXIT_WITHIN_MS = 5_000;

export type Collected = Extract<GeneratorReport, { type: "collected" }>;

/** A generator process, as far as it is used here: a forked child, or a test's own. */
export interface GeneratorProcess extends EventEmitter {
  readonly pid?: number | undefined;
  readonly connected: boolean;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  send(command: GeneratorCommand, sent: () => void): unknown;
  disconnect(): void;
  kill(signal: NodeJS.Signals): unknown;
}

export type ForkGenerator = () => GeneratorProcess;

export class Generators {
  readonly #configs: readonly GeneratorConfig[];
  readonly #fork: ForkGenerator;
  readonly #children: GeneratorProcess[] = [];
  readonly #counts: GeneratorCounts[];
  readonly #collected = new Map<string, Collected[]>();
  #ending = false;
  /** One sentence for each generator that ended before it was asked to. */
  readonly deaths: string[] = [];

  constructor(configs: readonly GeneratorConfig[], forkGenerator: ForkGenerator = forkProcess) {
    this.#configs = configs;
    this.#fork = forkGenerator;
    this.#counts = configs.map((config) => ({ ...noCounts(), pending: config.connections }));
  }

  get size(): number {
    return this.#configs.length;
  }

  get pids(): number[] {
    return this.#children.flatMap((child) => child.pid ?? []);
  }

  /** Forks all and waits until each is ready. */
  async start(): Promise<void> {
    const ready = this.#configs.map(async (config, i) => {
      const child = this.#fork();
      this.#children.push(child);
      child.once("exit", (code: number | null, signal: NodeJS.Signals | null) => this.#onExit(i, code, signal));
      await readyOrGone(child);
      child.on("message", (report: GeneratorReport) => this.#onReport(i, report));
      this.command(i, { type: "configure", config });
    });
    await Promise.all(ready);
  }

  command(i: number, command: GeneratorCommand): void {
    const child = this.#children[i];
    // A generator that ended just now is reported by its exit event, not by this error.
    if (child?.connected) child.send(command, () => undefined);
  }

  commandAll(command: GeneratorCommand): void {
    for (let i = 0; i < this.#children.length; i++) this.command(i, command);
  }

  of(i: number): Readonly<GeneratorCounts> {
    return this.#counts[i]!;
  }

  total(): GeneratorCounts {
    return addCounts(this.#counts);
  }

  /** The report of each living generator on a subject; without those that do not answer within COLLECT_WITHIN_MS. */
  async collect(subject: Subject): Promise<readonly Collected[]> {
    const key = JSON.stringify(subject);
    const answers: Collected[] = [];
    this.#collected.set(key, answers);
    this.commandAll({ type: "collect", subject });
    const deadlineMs = performance.now() + COLLECT_WITHIN_MS;
    while (answers.length < this.#countAlive() && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#collected.delete(key);
    return answers;
  }

  /** Disconnects all, upon which each ends itself; those that have not after EXIT_WITHIN_MS are killed by handle. */
  async end(): Promise<void> {
    this.#ending = true;
    const gone = this.#children.filter(isAlive).map((child) => once(child, "exit"));
    for (const child of this.#children) if (child.connected) child.disconnect();
    const late = setTimeout(() => this.kill(), EXIT_WITHIN_MS);
    await Promise.all(gone);
    clearTimeout(late);
  }

  /** Kills all at once; the kernel resets their connections. */
  kill(): void {
    this.#ending = true;
    for (const child of this.#children) if (isAlive(child)) child.kill("SIGKILL");
  }

  #countAlive(): number {
    return this.#children.filter(isAlive).length;
  }

  #onReport(i: number, report: GeneratorReport): void {
    switch (report.type) {
      case "ready":
        break;
      case "counts":
        this.#counts[i] = report.counts;
        break;
      case "collected":
        this.#collected.get(JSON.stringify(report.subject))?.push(report);
        break;
    }
  }

  #onExit(i: number, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#ending) return;
    const lost = this.#counts[i]!.open;
    const how = signal === null ? `with status ${code ?? "unknown"}` : `by ${signal}`;
    this.deaths.push(`generator ${i + 1} of ${this.size} ended ${how} and took ${lost} open connections with it`);
    this.#counts[i] = { ...this.#counts[i]!, open: 0, inFlight: 0, pending: 0, held: 0 };
  }
}

function forkProcess(): ChildProcess {
  return fork(new URL("../generator/main.js", import.meta.url), [], {
    execArgv: NODE_FLAGS,
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

/** Resolves at the first message, which is `ready`, or at the exit. */
async function readyOrGone(child: GeneratorProcess): Promise<void> {
  const signal = AbortSignal.timeout(READY_WITHIN_MS);
  await Promise.race([once(child, "message", { signal }), once(child, "exit", { signal })]);
}

const isAlive = (child: GeneratorProcess): boolean => child.exitCode === null && child.signalCode === null;
