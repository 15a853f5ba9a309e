/**
 * The generators as the coordinator holds them: forks them on their own entry file, gives orders, adds up their counts,
 * and ends them by handle. A generator that dies is remembered with its reason. Runs in the coordinator.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import {
  addCounts,
  type Command,
  type Counts,
  type GeneratorConfig,
  noCounts,
  type Report,
  type Subject,
} from "../generator/messages.js";

/** A generator allocates little: one thread for V8 and one for the idle wait, and a small young generation. */
const NODE_FLAGS = ["--max-semi-space-size=1", "--v8-pool-size=1", "--single-threaded-gc"];
const READY_WITHIN_MS = 60_000;
const COLLECT_WITHIN_MS = 30_000;
const EXIT_WITHIN_MS = 5_000;

export type Collected = Extract<Report, { kind: "collected" }>;

export class Fleet {
  private readonly children: ChildProcess[] = [];
  private readonly counts: Counts[];
  private readonly collected = new Map<string, Collected[]>();
  private ending = false;
  /** Why generators that should be alive are not. */
  readonly deaths: string[] = [];

  constructor(private readonly duties: readonly GeneratorConfig[]) {
    this.counts = duties.map((config) => ({ ...noCounts(), pending: config.connections }));
  }

  get size(): number {
    return this.duties.length;
  }

  get pids(): number[] {
    return this.children.flatMap((child) => child.pid ?? []);
  }

  /** Forks all and waits until each is ready. */
  async start(): Promise<void> {
    const file = new URL("../generator/main.js", import.meta.url);
    const ready = this.duties.map(async (config, i) => {
      const child = fork(file, [], {
        execArgv: NODE_FLAGS,
        env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      this.children.push(child);
      child.once("exit", (code, signal) => this.died(i, code, signal));
      const signal = AbortSignal.timeout(READY_WITHIN_MS);
      await Promise.race([once(child, "message", { signal }), once(child, "exit", { signal })]);
      child.on("message", (report: Report) => this.hear(i, report));
      this.command(i, { kind: "duty", config });
    });
    await Promise.all(ready);
  }

  command(i: number, command: Command): void {
    const child = this.children[i];
    // One that ended just now says so by its exit.
    if (child?.connected) child.send(command, () => undefined);
  }

  orderAll(command: Command): void {
    for (let i = 0; i < this.children.length; i++) this.command(i, command);
  }

  of(i: number): Readonly<Counts> {
    return this.counts[i]!;
  }

  total(): Counts {
    return addCounts(this.counts);
  }

  /** What each living generator says on a subject; those that do not answer in time are missing. */
  async collect(subject: Subject): Promise<readonly Collected[]> {
    const key = JSON.stringify(subject);
    const answers: Collected[] = [];
    this.collected.set(key, answers);
    this.orderAll({ kind: "collect", subject });
    const deadlineMs = performance.now() + COLLECT_WITHIN_MS;
    while (answers.length < this.alive() && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.collected.delete(key);
    return answers;
  }

  /** Lets go of all; each leaves by itself, and is ended by handle if it does not. */
  async end(): Promise<void> {
    this.ending = true;
    const gone = this.children.filter(isAlive).map((child) => once(child, "exit"));
    for (const child of this.children) if (child.connected) child.disconnect();
    const late = setTimeout(() => this.kill(), EXIT_WITHIN_MS);
    await Promise.all(gone);
    clearTimeout(late);
  }

  /** Ends all at once; the kernel resets their connections. */
  kill(): void {
    this.ending = true;
    for (const child of this.children) if (isAlive(child)) child.kill("SIGKILL");
  }

  private alive(): number {
    return this.children.filter(isAlive).length;
  }

  private hear(i: number, report: Report): void {
    switch (report.kind) {
      case "ready":
        break;
      case "counts":
        this.counts[i] = report.counts;
        break;
      case "collected":
        this.collected.get(JSON.stringify(report.subject))?.push(report);
        break;
    }
  }

  private died(i: number, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.ending) return;
    const lost = this.counts[i]!.open;
    const how = signal === null ? `with status ${code ?? "unknown"}` : `by ${signal}`;
    this.deaths.push(`generator ${i + 1} of ${this.size} ended ${how} and took ${lost} open connections with it`);
    this.counts[i] = { ...this.counts[i]!, open: 0, inFlight: 0, pending: 0, held: 0 };
  }
}

const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
