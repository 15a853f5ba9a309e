/**
 * The proof's side of its keeper process: starts it, lets it set values, ends it and checks that the old value is back. Whatever
 * happens to the keeper, `end` leaves the kernel as it was or throws a sentence with the remedy. Runs in the command line.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { GatewayError } from "../../src/errors.js";
import { openProcSys } from "../kernel/proc-sys.js";
import { isAlive } from "./children.js";
import type { KeeperAnswer, KeeperCommand } from "./keeper.js";
import { currentMaximum, putBack, TABLE_MAXIMUM, TRACE_PATH } from "./trace.js";

const ANSWER_WITHIN_MS = 10_000;

export class Keeper {
  readonly #path: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;
  #during: string | undefined;
  /** nf_conntrack_max before this proof, and before any interrupted one. */
  before = "";

  private constructor(path: string) {
    this.#path = path;
    const entry = fileURLToPath(new URL("./keeper.js", import.meta.url));
    // Detached: a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it.
    const options = { detached: true, stdio: ["pipe", "pipe", "ignore"] } as const;
    this.#process = spawn(process.execPath, [entry, path], { ...options, stdio: [...options.stdio] });
    // A command that the keeper did not read shows by its missing answer.
    this.#process.stdin.on("error", () => undefined);
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** Throws `refused` where another proof is running. */
  static async start(path = TRACE_PATH): Promise<Keeper> {
    const keeper = new Keeper(path);
    const answer = await keeper.#answer();
    if (answer.type === "ready") keeper.before = answer.before;
    return keeper;
  }

  /** Sets nf_conntrack_max for the whole host. */
  async set(maximum: number): Promise<void> {
    this.#during = String(maximum);
    const command: KeeperCommand = { maximum };
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    await this.#answer();
  }

  /** The old value is back when this resolves; throws `failed`, with the remedy, if it is not. */
  async end(): Promise<void> {
    const gone = isAlive(this.#process) ? once(this.#process, "exit") : undefined;
    this.#process.stdin.end();
    const late = setTimeout(() => this.#process.kill("SIGKILL"), ANSWER_WITHIN_MS);
    await gone;
    clearTimeout(late);
    if (this.before === "" || this.#during === undefined) return;
    const procSys = openProcSys();
    // The keeper has done this already, unless it was killed.
    const why = putBack(procSys, this.#path, { before: this.before, during: this.#during });
    if (why === undefined && currentMaximum(procSys) === this.before) return;
    const reason =
      why ?? `${TABLE_MAXIMUM} is ${currentMaximum(procSys) ?? "unreadable"}: another program has set it meanwhile`;
    throw new GatewayError("failed", `${reason}; it was ${this.before}: sysctl -w ${TABLE_MAXIMUM}=${this.before}`);
  }

  async #answer(): Promise<KeeperAnswer> {
    const late = setTimeout(() => this.#process.kill("SIGKILL"), ANSWER_WITHIN_MS);
    const next = await this.#answers.next();
    clearTimeout(late);
    if (next.done === true) throw new GatewayError("failed", "the keeper of nf_conntrack_max ended by itself");
    const answer = JSON.parse(next.value) as KeeperAnswer;
    if (answer.type === "refused" || answer.type === "failed") throw new GatewayError(answer.type, answer.detail);
    return answer;
  }
}
