/**
 * The descriptor limit of this process, which its children inherit: read from the kernel, and raised by the supervisor
 * where that is allowed. Where it is not (containers, hardened hosts), more workers make up for it (capacity.ts).
 */
import { readFileSync } from "node:fs";

export interface NofileLimit {
  readonly soft: number;
  readonly hard: number;
}

/** Numbers; an unlimited one is Infinity. */
export function nofileLimit(): NofileLimit {
  const line = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const number = (text: string | undefined): number => (text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text));
  return { soft: number(line?.[1]), hard: number(line?.[2]) };
}

const RLIMIT_NOFILE = 7;

/** Raises soft and hard limit to `wanted` if the kernel lets us; never lowers. Returns the limit that then holds. */
export async function raiseNofile(wanted: number): Promise<NofileLimit> {
  const before = nofileLimit();
  if (before.soft >= wanted) return before;
  try {
    const { default: koffi } = await import("koffi");
    const setrlimit = koffi.load(null).func("int setrlimit(int, const void *)");
    const rlimit = Buffer.alloc(16);
    for (const [soft, hard] of [
      [wanted, Math.max(wanted, before.hard)],
      [Math.min(wanted, before.hard), before.hard],
    ] as const) {
      if (!Number.isFinite(hard)) continue;
      rlimit.writeBigUInt64LE(BigInt(soft), 0);
      rlimit.writeBigUInt64LE(BigInt(hard), 8);
      if (setrlimit(RLIMIT_NOFILE, rlimit) === 0) break;
    }
  } catch {
    // Without foreign calls the limit stays as it is, and the sums below start from what is there.
  }
  return nofileLimit();
}
