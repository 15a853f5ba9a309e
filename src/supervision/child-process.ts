/**
 * One child process that is kept alive: forked on its own entry file, started, watched, forked again with growing
 * delay when it dies. Knows nothing of what the child does. Supervisor only.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DrainOptions } from "../drain/goodbye.js";
import type { Log } from "../log.js";
import type { ChildCommand, ChildReport } from "./control-channel.js";

/** Number of the first of `descriptors` in the child. */
export const FIRST_DESCRIPTOR = 4;
const RESTART_MS = { first: 20, max: 10_000 };
/** A child that has lived this long is restarted without delay. */
const STABLE_MS = 30_000;

export interface ChildOptions {
  readonly name: string;
  /** Entry file, relative to this one. */
  readonly entry: string;
  /** Descriptors that the child gets as 4, 5 and so on, after the standard ones and the control channel. */
  readonly descriptors?: () => readonly number[];
  readonly startMessage: () => ChildCommand;
  readonly onMessage: (message: ChildReport) => void;
  /** It ended without having been told to. */
  readonly onDied: (pid: number, restarts: number) => void;
  readonly log: Log;
}

export class Child {
  #process: ChildProcess | undefined;
  #stopping = false;
  #startedMs = 0;
  #delayMs = RESTART_MS.first;
  #timer: NodeJS.Timeout | undefined;
  restarts = 0;
  /** Since liveness.ts last checked. */
  hasSpoken = false;
  /** Cleared at each death; set by the child's `ready`. */
  ready = false;

  readonly #options: ChildOptions;

  constructor(options: ChildOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get alive(): boolean {
    return this.#process !== undefined;
  }

  get isWatched(): boolean {
    return this.alive && !this.#stopping;
  }

  start(): void {
    this.#startedMs = performance.now();
    const child = fork(fileURLToPath(new URL(this.#options.entry, import.meta.url)), [], {
      // The native HTTP parser would refuse headers over 4 KiB, but only when they come in pieces (src/README.md fact 17).
      env: { ...process.env, UWS_HTTP_MAX_HEADERS_SIZE: "16384" },
      // A worker keeps hardly any objects of its own: a small young generation saves memory in each of fifty processes.
      execArgv: ["--max-semi-space-size=4"],
      stdio: ["inherit", "inherit", "inherit", "ipc", ...(this.#options.descriptors?.() ?? [])],
    });
    this.#process = child;
    child.on("message", (message: ChildReport) => {
      this.hasSpoken = true;
      if (message.type === "ready") this.ready = true;
      this.#options.onMessage(message);
    });
    child.on("error", (error) => this.#options.log("error", `${this.#options.name}: ${error.message}`));
    child.on("exit", (code, signal) => this.#ended(child, code, signal));
    this.send(this.#options.startMessage());
  }

  send(message: ChildCommand): void {
    if (this.#process?.connected) this.#process.send(message, () => undefined);
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    this.#process = undefined;
    this.ready = false;
    if (this.#stopping) return;
    this.restarts += 1;
    if (performance.now() - this.#startedMs > STABLE_MS) this.#delayMs = RESTART_MS.first;
    const how = signal ?? `exit status ${code ?? "unknown"}`;
    this.#options.log("error", `${this.#options.name} died; restarting`, {
      how,
      pid: child.pid,
      afterMs: this.#delayMs,
    });
    this.#options.onDied(child.pid ?? 0, this.restarts);
    this.#timer = setTimeout(() => this.start(), this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, RESTART_MS.max);
  }

  /** Asks it to stop; resolves when it has ended. True if it had to be cut at the deadline. */
  stop(deadlineMs: number, drain?: DrainOptions): Promise<boolean> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#process;
    if (!child) return Promise.resolve(false);
    return new Promise((resolve) => {
      let cut = false;
      const deadline = setTimeout(() => {
        cut = true;
        child.kill("SIGKILL");
      }, deadlineMs);
      child.once("exit", () => {
        clearTimeout(deadline);
        resolve(cut);
      });
      this.send({ type: "stop", ...(drain && { drain }) });
    });
  }

  /** Ends a process that hangs; another takes its place, as after any death. Works on a stopped one too. */
  endHung(): void {
    this.#process?.kill("SIGKILL");
  }

  /** At once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#process?.kill("SIGKILL");
  }
}
