/**
 * Private memory of the gateway's processes, as the kernel counts it: `Pss_Anon` of `/proc/PID/smaps_rollup`, because
 * idle node processes share most of what RSS and PSS show. Read one process at a time, without blocking, every few
 * seconds: the kernel takes tens of milliseconds to walk the pages of 56 processes. Hub process only.
 */
import { readFile } from "node:fs/promises";

/** In bytes; 0 for a process that has just ended. */
export async function privateBytes(pid: number): Promise<number> {
  try {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/^Pss_Anon:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Sum over processes, and what it was when the gateway last had no connection (its idle base). */
export class MemoryGauge {
  bytes = 0;
  idleBytes = 0;

  async measure(pids: readonly number[], connections: number): Promise<void> {
    let sum = 0;
    for (const pid of pids) sum += await privateBytes(pid);
    this.bytes = sum;
    if (connections === 0 || this.idleBytes === 0) this.idleBytes = sum;
  }

  /** Bytes over the idle base for each connection; 0 while there is none. */
  perConnection(connections: number): number {
    return connections === 0 ? 0 : Math.max(0, this.bytes - this.idleBytes) / connections;
  }
}
