/**
 * Reads this machine's limits and memory for the load generator: plain numbers out of /proc. The root folder is a parameter,
 * so that tests can read a recorded host. Runs in the load coordinator and in the command line. It must not walk descriptor
 * folders: listing /proc/PID/fd leaves 1.8 KB of kernel memory for each connection (src/README.md fact 13).
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { groupMemory, groupPath, groupTasks } from "./control-groups.js";
import type { Usage } from "./facts.js";
import { KernelFiles } from "./files.js";
import { coresOf, processorShare, processorsOf } from "./processors.js";
import { Tree } from "./tree.js";

export interface MachineLimits {
  readonly kernel: string;
  /** Processors that this process may use, a CPU quota counted and rounded up. */
  readonly cores: number;
  /** The same, possibly a fraction where a quota bounds. */
  readonly cpus: number;
  readonly memoryBytes: number;
  /** MemFree and the page cache that can be dropped: MemAvailable counts pinned socket inodes too (src/README.md fact 14). */
  readonly freeBytes: number;
  /** Descriptors that one process may have; Node raises the soft limit to the hard one when it starts. */
  readonly nofileHard: number;
  readonly fileMax: number;
  readonly filesOpen: number;
  /** Root is exempt from fs.file-max. */
  readonly root: boolean;
  readonly epollWatches: number;
  readonly portLow: number;
  readonly portHigh: number;
  /** Ports of the range that connect() may not choose. */
  readonly portsReserved: number;
  readonly pidMax: number;
  readonly threadsMax: number;
  readonly threads: number;
  /** The tightest limits of the control groups that this process is in; null where none bounds. */
  readonly groupMemory: Usage | null;
  readonly groupTasks: Usage | null;
  /** Whether a probe found that connections made here are tracked; null where nobody tried. */
  readonly tracked: boolean | null;
  readonly conntrackCount: number;
  readonly conntrackMax: number;
}

export class MachineReader {
  readonly #root: string;
  /** Kept open: memory is read four times a second. */
  readonly #files: KernelFiles;
  readonly #tree: Tree;

  constructor(root = "/") {
    this.#root = root;
    this.#files = new KernelFiles(root);
    this.#tree = new Tree(root);
  }

  limits(): MachineLimits {
    const memory = this.memory();
    const processors = processorsOf(this.#tree);
    const [portLow = 32_768, portHigh = 60_999] = this.#numbers("proc/sys/net/ipv4/ip_local_port_range");
    const [filesOpen = 0] = this.#numbers("proc/sys/fs/file-nr");
    return {
      kernel: release(),
      cores: coresOf(processors),
      cpus: processorShare(processors),
      memoryBytes: memory.totalBytes,
      freeBytes: memory.freeBytes,
      nofileHard: this.nofile("self") ?? Number.POSITIVE_INFINITY,
      fileMax: this.#number("proc/sys/fs/file-max", Number.POSITIVE_INFINITY),
      filesOpen,
      root: process.getuid?.() === 0,
      epollWatches: this.#number("proc/sys/fs/epoll/max_user_watches", Number.POSITIVE_INFINITY),
      portLow,
      portHigh,
      portsReserved: countReserved(this.#text("proc/sys/net/ipv4/ip_local_reserved_ports"), portLow, portHigh),
      pidMax: this.#number("proc/sys/kernel/pid_max", Number.POSITIVE_INFINITY),
      threadsMax: this.#number("proc/sys/kernel/threads-max", Number.POSITIVE_INFINITY),
      threads: Number(/\/(\d+)/.exec(this.#text("proc/loadavg"))?.[1] ?? 0),
      groupMemory: this.groupMemory(),
      groupTasks: groupTasks(this.#tree),
      tracked: null,
      conntrackCount: this.#number("proc/sys/net/netfilter/nf_conntrack_count", 0),
      conntrackMax: this.#number("proc/sys/net/netfilter/nf_conntrack_max", Number.POSITIVE_INFINITY),
    };
  }

  memory(): { totalBytes: number; freeBytes: number; slabBytes: number } {
    const content = this.#files.text("proc/meminfo");
    const bytes = (name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(content)?.[1] ?? 0);
    return {
      totalBytes: bytes("MemTotal"),
      freeBytes: bytes("MemFree") + bytes("Cached") + bytes("Buffers") - bytes("Shmem"),
      slabBytes: bytes("Slab"),
    };
  }

  groupMemory(): Usage | null {
    return groupMemory(this.#tree);
  }

  /**
   * Whether the process with this number, as seen from here, is a gateway's process of that role. The numbers that a gateway
   * in another PID namespace (a container) reports may belong to other programs here.
   */
  runs({ pid, role }: { readonly pid: number; readonly role: string }): boolean {
    const args = this.#text(`proc/${pid}/cmdline`).split("\0");
    if (role === "supervisor") return args.includes("serve");
    return args.some((arg) => arg.endsWith(`/${role}.js`));
  }

  /** Whether the process's memory counts against our control group too. */
  sharesGroup(pid: number): boolean {
    const pathOf = (process: string): string => groupPath(this.#tree, "memory", process).path;
    const [own, its] = [pathOf("self"), pathOf(String(pid))];
    // "/../…" is outside of our cgroup namespace.
    return its === own || (!its.includes("..") && its.startsWith(own === "/" ? "/" : `${own}/`));
  }

  /** The maximum number of descriptors of a process; undefined when it cannot be read. */
  nofile(pid: number | "self"): number | undefined {
    const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(this.#text(`proc/${pid}/limits`))?.[1];
    if (hard === undefined) return undefined;
    return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
  }

  /** Whether the process runs as the same user as this one; true also when that cannot be read. */
  isOurs(pid: number): boolean {
    const user = /^Uid:\s+(\d+)/m.exec(this.#text(`proc/${pid}/status`))?.[1];
    return user === undefined || Number(user) === process.getuid?.();
  }

  /** Private anonymous memory of these processes; undefined when one of them cannot be read. */
  anonymousBytes(pids: readonly number[]): number | undefined {
    let sum = 0;
    for (const pid of pids) {
      const kilobytes = /^Pss_Anon:\s+(\d+)/m.exec(this.#text(`proc/${pid}/smaps_rollup`))?.[1];
      if (kilobytes === undefined) return undefined;
      sum += 1024 * Number(kilobytes);
    }
    return sum;
  }

  #text(path: string): string {
    try {
      return readFileSync(this.#root + path, "utf8");
    } catch {
      return "";
    }
  }

  #number(path: string, fallback: number): number {
    const content = this.#text(path).trim();
    return content === "" ? fallback : Number(content);
  }

  #numbers(path: string): number[] {
    return this.#text(path).trim().split(/\s+/).filter(Boolean).map(Number);
  }
}

/** How many ports of [low, high] a list such as "8080,9000-9010" reserves. */
export function countReserved(list: string, low: number, high: number): number {
  const taken = new Set<number>();
  for (const part of list.trim().split(",").filter(Boolean)) {
    const [from = 0, to = from] = part.split("-").map(Number);
    for (let port = Math.max(low, from); port <= Math.min(high, to); port++) taken.add(port);
  }
  return taken.size;
}
