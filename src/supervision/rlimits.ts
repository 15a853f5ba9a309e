/**
 * The limits that bound what workers may hold, read from the kernel. The descriptor limit of this process, which its
 * children inherit, is raised by the supervisor where that is allowed; where it is not (containers, hardened hosts), more
 * workers make up for it (capacity.ts). What all processes of a user or of the system share, no worker makes up for.
 */
import { existsSync, readFileSync } from "node:fs";
import type { SharedLimits } from "../config/capacity.js";
import { GatewayError } from "../errors.js";

export interface NofileLimit {
  readonly soft: number;
  readonly hard: number;
}

/** Workers count their descriptors there. Throws `refused` where /proc is another PID namespace's, or none at all. */
export function refuseForeignProc(path = "/proc/self/fd"): void {
  if (existsSync(path)) return;
  const remedy = "mount this one's (mount -t proc proc /proc), or enter both: nsenter --mount --pid";
  throw new GatewayError(
    "refused",
    `${path} is not there: /proc does not know this process, as when it belongs to another PID namespace. Remedy: ${remedy}`,
  );
}

/** Numbers; an unlimited one is Infinity. Where /proc is of another PID namespace it does not have this process: Node knows too. */
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

/** Who has it opens files beyond fs.file-max. */
const CAP_SYS_ADMIN = 21n;

/** As they are now; below a root folder, for tests. */
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
