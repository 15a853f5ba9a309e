/**
 * The trace of a borrowed nf_conntrack_max: a small file with the value as it was, there from before the first change
 * until the value is back. Who finds it without a living keeper knows that a proof was cut short, and the remedy.
 * Runs in the keeper, in the command line, and in doctor.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import { type Host, openHost } from "../kernel/proc-sys.js";

/** One value for all network namespaces, and writable in the host's own only. */
export const TABLE_MAXIMUM = "net.netfilter.nf_conntrack_max";
export const TRACE_PATH = "/var/lib/megagate/prove.json";

const SCHEMA = z.strictObject({
  version: z.literal(1),
  bootId: z.string(),
  keeper: z.number().int(),
  /** The value as it was, and the one that was set meanwhile. */
  before: z.string().regex(/^\d+$/),
  during: z.string().regex(/^\d+$/),
});
export type Trace = z.infer<typeof SCHEMA>;

/** What a proof of this boot left behind; undefined where nothing is borrowed, or the value has been set since. */
export function readTrace(host: Host, path = TRACE_PATH): Trace | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  // The keeper creates the file, locks it, and writes only then.
  if (text.trim() === "") return undefined;
  const parsed = SCHEMA.safeParse(parse(text));
  if (!parsed.success) {
    throw new GatewayError("failed", `${path} is not a trace of \`megagate doctor --prove\`: move it away`);
  }
  const trace = parsed.data;
  return trace.bootId === host.identity().bootId && currentMaximum(host) === trace.during ? trace : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function currentMaximum(host: Host): string | undefined {
  const reading = host.read(TABLE_MAXIMUM);
  return "text" in reading ? reading.text : undefined;
}

/** One sentence for doctor: a proof that was cut short left a wrong maximum, and the remedy. Undefined if none did. */
export function leftover(root = "/"): string | undefined {
  const trace = readTrace(openHost(root), join(root, TRACE_PATH));
  // At --full the value that is borrowed may be the host's own: then nothing is wrong.
  if (trace === undefined || trace.before === trace.during || isKeeper(trace.keeper)) return undefined;
  return (
    `${TABLE_MAXIMUM} is ${trace.during} because a \`megagate doctor --prove\` and its keeper were killed; it was ${trace.before}. ` +
    `Put it back: sysctl -w ${TABLE_MAXIMUM}=${trace.before} (or run \`megagate doctor --prove\` again, which ends with it)`
  );
}

/** A proof is at work on this host now. */
export function proofAtWork(): boolean {
  const trace = readTrace(openHost());
  return trace !== undefined && isKeeper(trace.keeper);
}

/** A process of that number lives and is a keeper: numbers are used again. */
function isKeeper(pid: number): boolean {
  try {
    return /prove\/keeper\.js|megagate prove keeper/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false;
  }
}

/** Opens the file without touching what is in it, creating it where there is none. */
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

/** Replaces what is in the open file, and waits until it is on disk. */
export function writeTrace(descriptor: number, trace: Trace): void {
  ftruncateSync(descriptor);
  writeSync(descriptor, `${JSON.stringify(trace)}\n`);
  fsyncSync(descriptor);
}

/**
 * Writes the old value back and, once it reads so, takes the trace away. Undefined when all is as it was, else the
 * reason. Repeatable. A value that somebody else has set meanwhile is theirs and stays.
 */
export function putBack(
  host: Host,
  path: string,
  { before, during }: Pick<Trace, "before" | "during">,
): string | undefined {
  const now = currentMaximum(host);
  if (now === during && now !== before) {
    const code = host.write(TABLE_MAXIMUM, before);
    if (code !== undefined) return `${TABLE_MAXIMUM}=${before} could not be written: ${code}`;
    const after = currentMaximum(host);
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
