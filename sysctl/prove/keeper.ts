/**
 * Entry file of the keeper: a detached process that alone changes nf_conntrack_max for a proof, and writes the old value
 * back when its standard input closes, for whatever reason: the proof ended, or it was killed. It is deaf to signals that
 * can be ignored. Its own end by SIGKILL leaves the trace file (trace.ts), which the next proof makes good.
 * Lines of JSON: orders in on stdin, answers out on stdout.
 */
import { fstatSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { GatewayError } from "../../src/errors.js";
import { EAGAIN, errorName, lockFile } from "../kernel/libc.js";
import { openHost } from "../kernel/proc-sys.js";
import { AT_WORK } from "./conditions.js";
import { closeTrace, currentMaximum, openTrace, putBack, readTrace, TABLE_MAXIMUM, writeTrace } from "./trace.js";

/** Set the maximum to this. */
export interface KeeperOrder {
  readonly maximum: number;
}

export type KeeperAnswer =
  | { readonly kind: "holding"; readonly before: string }
  | { readonly kind: "set"; readonly maximum: number }
  | { readonly kind: "restored" }
  | { readonly kind: "refused" | "failed"; readonly detail: string };

const host = openHost();

class Keeping {
  private during: string | undefined;

  private constructor(
    private readonly path: string,
    private readonly trace: number,
    readonly before: string,
  ) {}

  static begin(path: string): Keeping {
    const trace = takeTrace(path);
    const now = currentMaximum(host);
    if (now === undefined) throw new GatewayError("refused", `${TABLE_MAXIMUM} cannot be read`);
    const left = readTrace(host, path);
    const keeping = new Keeping(path, trace, left?.before ?? now);
    // A proof was cut short, keeper and all: its "before" is the true one.
    keeping.during = left?.during;
    return keeping;
  }

  set(maximum: number): void {
    const during = String(maximum);
    writeTrace(this.trace, {
      version: 1,
      bootId: host.identity().bootId,
      keeper: process.pid,
      before: this.before,
      during,
    });
    const code = host.write(TABLE_MAXIMUM, during);
    if (code !== undefined) {
      const remedy = "it can be set in the host's first network namespace only, by root: run the proof there";
      throw new GatewayError("refused", `${TABLE_MAXIMUM} cannot be set here (${code}); ${remedy}`);
    }
    this.during = during;
    const now = currentMaximum(host);
    if (now !== during)
      throw new GatewayError("refused", `the kernel made ${TABLE_MAXIMUM}=${during} ${now ?? "unreadable"}`);
  }

  end(): string | undefined {
    return putBack(host, this.path, { before: this.before, during: this.during ?? this.before });
  }
}

/** The trace file, open and locked by this process; a keeper that ends takes its file away, so look again after locking. */
function takeTrace(path: string): number {
  for (;;) {
    const trace = openTrace(path);
    const locked = lockFile(trace);
    if (locked === -EAGAIN) throw new GatewayError("refused", AT_WORK);
    if (locked < 0) throw new GatewayError("refused", `cannot lock ${path}: ${errorName(locked)}`);
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(trace).ino) return trace;
    closeTrace(trace);
  }
}

/** The reader may be gone; what matters is done without it. */
function answer(what: KeeperAnswer): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function explain(error: unknown): void {
  const kind = error instanceof GatewayError && error.kind === "refused" ? "refused" : "failed";
  answer({ kind, detail: error instanceof Error ? error.message : String(error) });
}

function keep(path: string): void {
  const keeping = Keeping.begin(path);
  answer({ kind: "holding", before: keeping.before });
  const orders = createInterface({ input: process.stdin });
  orders.on("line", (line) => {
    try {
      const { maximum } = JSON.parse(line) as KeeperOrder;
      keeping.set(maximum);
      answer({ kind: "set", maximum });
    } catch (error) {
      explain(error);
    }
  });
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    const why = keeping.end();
    if (why === undefined) answer({ kind: "restored" });
    else answer({ kind: "failed", detail: why });
  };
  orders.on("close", end);
  process.stdin.on("error", end);
}

process.title = "megagate prove keeper";
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const) process.on(signal, () => undefined);
process.stdout.on("error", () => undefined);
try {
  keep(process.argv[2]!);
} catch (error) {
  explain(error);
}
