/**
 * Entry file of the keeper: a detached process, the only one that changes nf_conntrack_max for a proof. It writes the old value
 * back when its standard input closes, whether the proof ended or was killed. It ignores all signals that can be ignored. If it
 * is killed by SIGKILL itself, the trace file (trace.ts) stays, and the next proof restores the value.
 * Lines of JSON: commands arrive on stdin, answers leave on stdout.
 */
import { fstatSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { GatewayError } from "../../src/errors.js";
import { EAGAIN, errorName, lockFile } from "../kernel/libc.js";
import { openProcSys } from "../kernel/proc-sys.js";
import { ALREADY_RUNNING } from "./conditions.js";
import { closeTrace, currentMaximum, openTrace, putBack, readTrace, TABLE_MAXIMUM, writeTrace } from "./trace.js";

/** Sets nf_conntrack_max to this value. */
export interface KeeperCommand {
  readonly maximum: number;
}

export type KeeperAnswer =
  | { readonly type: "ready"; readonly before: string }
  | { readonly type: "set"; readonly maximum: number }
  | { readonly type: "restored" }
  | { readonly type: "refused" | "failed"; readonly detail: string };

const procSys = openProcSys();

/** The changed value and its trace file, from the first change until the old value is back. */
class BorrowedMaximum {
  readonly #path: string;
  /** Descriptor of the open, locked trace file. */
  readonly #trace: number;
  readonly before: string;
  #during: string | undefined;

  private constructor(path: string, trace: number, before: string) {
    this.#path = path;
    this.#trace = trace;
    this.before = before;
  }

  static begin(path: string): BorrowedMaximum {
    const trace = lockTrace(path);
    const now = currentMaximum(procSys);
    if (now === undefined) throw new GatewayError("refused", `${TABLE_MAXIMUM} cannot be read`);
    // Present if an earlier proof and its keeper were killed: then its "before" is the original value.
    const interrupted = readTrace(procSys, path);
    const borrowed = new BorrowedMaximum(path, trace, interrupted?.before ?? now);
    borrowed.#during = interrupted?.during;
    return borrowed;
  }

  set(maximum: number): void {
    const during = String(maximum);
    writeTrace(this.#trace, {
      version: 1,
      bootId: procSys.identity().bootId,
      keeper: process.pid,
      before: this.before,
      during,
    });
    const code = procSys.write(TABLE_MAXIMUM, during);
    if (code !== undefined) {
      const remedy = "only root can set it, in the host's first network namespace: run the proof there";
      throw new GatewayError("refused", `${TABLE_MAXIMUM} cannot be set here (${code}); ${remedy}`);
    }
    this.#during = during;
    const now = currentMaximum(procSys);
    if (now !== during)
      throw new GatewayError("refused", `the kernel made ${TABLE_MAXIMUM}=${during} ${now ?? "unreadable"}`);
  }

  /** Undefined when the old value is back, else the reason why not. */
  end(): string | undefined {
    return putBack(procSys, this.#path, { before: this.before, during: this.#during ?? this.before });
  }
}

/** Opens and locks the trace file. A keeper that ends deletes its file, so the path is checked again after locking. */
function lockTrace(path: string): number {
  for (;;) {
    const trace = openTrace(path);
    const locked = lockFile(trace);
    if (locked === -EAGAIN) throw new GatewayError("refused", ALREADY_RUNNING);
    if (locked < 0) throw new GatewayError("refused", `cannot lock ${path}: ${errorName(locked)}`);
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(trace).ino) return trace;
    closeTrace(trace);
  }
}

/** The proof may be gone: then nobody reads the answer, and the keeper works on. */
function send(answer: KeeperAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function sendError(error: unknown): void {
  const type = error instanceof GatewayError && error.kind === "refused" ? "refused" : "failed";
  send({ type, detail: error instanceof Error ? error.message : String(error) });
}

function keep(path: string): void {
  const borrowed = BorrowedMaximum.begin(path);
  send({ type: "ready", before: borrowed.before });
  const commands = createInterface({ input: process.stdin });
  commands.on("line", (line) => {
    try {
      const { maximum } = JSON.parse(line) as KeeperCommand;
      borrowed.set(maximum);
      send({ type: "set", maximum });
    } catch (error) {
      sendError(error);
    }
  });
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    const why = borrowed.end();
    if (why === undefined) send({ type: "restored" });
    else send({ type: "failed", detail: why });
  };
  commands.on("close", end);
  process.stdin.on("error", end);
}

process.title = "megagate prove keeper";
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const) process.on(signal, () => undefined);
process.stdout.on("error", () => undefined);
try {
  keep(process.argv[2]!);
} catch (error) {
  sendError(error);
}
