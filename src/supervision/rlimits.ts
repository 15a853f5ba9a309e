/**
 * Reads the limits on how many connections workers may hold, and raises the descriptor limit. The supervisor raises its own,
 * which its children inherit, where that is allowed; where it is not (containers, hardened hosts), more workers make up for it
 * (config/capacity.ts). Limits that all processes of a user or of the system share cannot be made up for by more workers.
 */
import { existsSync, readFileSync } from "node:fs";
import type { SharedLimits } from "../config/capacity.js";
import { GatewayError } from "../errors.js";

export interface NofileLimit {
  readonly soft: number;
  readonly hard: number;
}

/** Workers count their descriptors there. Throws `refused` where /proc is missing or belongs to another PID namespace. */
export function refuseForeignProc(path = "/proc/self/fd"): void {
  if (existsSync(path)) return;
  const remedy = "mount this one's (mount -t proc proc /proc), or enter both: nsenter --mount --pid";
  throw new GatewayError(
    "refused",
    `${path} does not exist: /proc does not show this process, probably because it belongs to another PID namespace. Remedy: ${remedy}`,
  );
}

/** The present limits; Infinity for unlimited. A /proc of another PID namespace does not show this process: then Node is asked. */
export function nofileLimit(path = "/proc/self/limits"): NofileLimit {
  const number = (text: unknown): number => (text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text));
  try {
    const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync(path, "utf8")) ?? [];
    return { soft: number(soft), hard: number(hard) };
  } catch {
    const report = process.report.getReport() as unknown as {
      userLimits: { open_files: Record<"soft" | "hard", unknown> };
    };
    const { soft, hard } = report.userLimits.open_files;
    return { soft: number(soft), hard: number(hard) };
  }
}

const RLIMIT_NOFILE = 7;

/** Raises soft and hard limit to `wanted` if the kernel allows it; never lowers them. Resolves with the limit that then holds. */
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
    // Without foreign calls the limit stays as it is, and the worker sizing starts from it.
  }
  return nofileLimit();
}

/** A process with this capability may open files beyond fs.file-max. */
const CAP_SYS_ADMIN = 21n;

/** The present shared limits, read below a root folder that tests replace. */
export function sharedLimits(root = "/"): SharedLimits {
  const text = (path: string): string => {
    try {
      return readFileSync(root + path, "utf8");
    } catch {
      return "";
    }
  };
  const number = (content: string): number => Number(/^\s*(\d+)/.exec(content)?.[1] ?? Number.POSITIVE_INFINITY);
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(text("proc/self/status"))?.[1] ?? "0"}`);
  const exempt = ((capabilities >> CAP_SYS_ADMIN) & 1n) === 1n;
  const open = Number(/^\d+/.exec(text("proc/sys/fs/file-nr"))?.[0] ?? 0);
  return {
    epollWatches: number(text("proc/sys/fs/epoll/max_user_watches")),
    filesLeft: exempt ? Number.POSITIVE_INFINITY : number(text("proc/sys/fs/file-max")) - open,
  };
}
