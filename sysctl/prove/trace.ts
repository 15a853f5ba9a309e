/**
 * The trace file of a proof: it holds the original nf_conntrack_max, from before the first change until the value is restored. If
 * the file exists without a living keeper, a proof was interrupted, and the file has what is needed to restore the value.
 * Used in the keeper and in the command line.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import { openProcSys, type ProcSys } from "../kernel/proc-sys.js";

/** One value for all network namespaces, writable only in the host's own. */
export const TABLE_MAXIMUM = "net.netfilter.nf_conntrack_max";
export const TRACE_PATH = "/var/lib/megagate/prove.json";

const SCHEMA = z.strictObject({
  version: z.literal(1),
  bootId: z.string(),
  keeper: z.number().int(),
  /** The original value, and the one that the proof set. */
  before: z.string().regex(/^\d+$/),
  during: z.string().regex(/^\d+$/),
});
export type Trace = z.infer<typeof SCHEMA>;

/** The trace of a proof since this boot; undefined where there is none, or the value has been set by others since. */
export function readTrace(procSys: ProcSys, path = TRACE_PATH): Trace | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  // The keeper creates and locks the file before it writes: empty means that nothing was changed yet.
  if (text.trim() === "") return undefined;
  const parsed = SCHEMA.safeParse(parse(text));
  if (!parsed.success) {
    throw new GatewayError("failed", `${path} is not a trace of \`megagate doctor --prove\`: move it away`);
  }
  const trace = parsed.data;
  return trace.bootId === procSys.identity().bootId && currentMaximum(procSys) === trace.during ? trace : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function currentMaximum(procSys: ProcSys): string | undefined {
  const reading = procSys.read(TABLE_MAXIMUM);
  return "text" in reading ? reading.text : undefined;
}

/** A sentence with the remedy if an interrupted proof left a wrong nf_conntrack_max; undefined otherwise. */
export function leftover(root = "/"): string | undefined {
  const trace = readTrace(openProcSys(root), join(root, TRACE_PATH));
  // With --full the proof's value may be the host's own: then nothing is wrong.
  if (trace === undefined || trace.before === trace.during || isKeeper(trace.keeper)) return undefined;
  return (
    `${TABLE_MAXIMUM} is ${trace.during} because a \`megagate doctor --prove\` and its keeper were killed; it was ${trace.before}. ` +
    `Restore it: sysctl -w ${TABLE_MAXIMUM}=${trace.before} (or run \`megagate doctor --prove\` again, which restores it at its end)`
  );
}

/** Whether a proof is running on this host now. */
export function isProofRunning(): boolean {
  const trace = readTrace(openProcSys());
  return trace !== undefined && isKeeper(trace.keeper);
}

/** Whether a process with this number lives and is a keeper: numbers are reused. */
function isKeeper(pid: number): boolean {
  try {
    return /prove\/keeper\.js|megagate prove keeper/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false;
  }
}

/** Opens the file without changing its content; creates it where it does not exist. */
export function openTrace(path: string): number {
  try {
    makeFolders(dirname(path));
    return openSync(path, "a+", 0o600);
  } catch (error) {
    const why = (error as Error).message;
    throw new GatewayError(
      "refused",
      `the old value must be kept in ${path} first, and that cannot be written: ${why}`,
    );
  }
}

/** Replaces the content of the open file, and waits until it is on disk. */
export function writeTrace(descriptor: number, trace: Trace): void {
  ftruncateSync(descriptor);
  writeSync(descriptor, `${JSON.stringify(trace)}\n`);
  fsyncSync(descriptor);
}

/**
 * Writes the old value back, checks it, and deletes the trace. Undefined when all is as before, else the reason. May be
 * repeated. A value that another program has set meanwhile stays.
 */
export function putBack(
  procSys: ProcSys,
  path: string,
  { before, during }: Pick<Trace, "before" | "during">,
): string | undefined {
  const now = currentMaximum(procSys);
  if (now === during && now !== before) {
    const code = procSys.write(TABLE_MAXIMUM, before);
    if (code !== undefined) return `${TABLE_MAXIMUM}=${before} could not be written: ${code}`;
    const after = currentMaximum(procSys);
    if (after !== before) return `the kernel took ${TABLE_MAXIMUM}=${before} and made it ${after ?? "unreadable"}`;
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      return `${path} cannot be deleted: ${(error as Error).message}`;
  }
  return undefined;
}

export const closeTrace = (descriptor: number): void => closeSync(descriptor);
