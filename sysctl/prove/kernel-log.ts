/**
 * Reads the kernel's log from a moment on, for its line about a full connection-tracking table. The kernel limits how often it
 * repeats a line, so a missing line proves nothing. Runs in the command line.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";

const RECORD_BYTES = 8192;

export class KernelLog {
  readonly #descriptor: number | undefined;

  private constructor(descriptor: number | undefined) {
    this.#descriptor = descriptor;
    // Skips the records of before.
    this.#read();
  }

  /** From now on; without any lines where the log may not be read. */
  static open(): KernelLog {
    try {
      return new KernelLog(openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK));
    } catch {
      return new KernelLog(undefined);
    }
  }

  /** The last line about a full table since the last call. */
  tableFull(): string | null {
    return this.#read().findLast((line) => line.includes("table full")) ?? null;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
  }

  /** Every record since the last call. One read returns one record: "priority,sequence,time,flags;text". */
  #read(): string[] {
    const lines: string[] = [];
    if (this.#descriptor === undefined) return lines;
    const record = Buffer.alloc(RECORD_BYTES);
    for (;;) {
      try {
        const length = readSync(this.#descriptor, record);
        if (length === 0) return lines;
        const text = record.toString("utf8", 0, length);
        lines.push(text.slice(text.indexOf(";") + 1).split("\n")[0]!);
      } catch (error) {
        // EPIPE: older records were overwritten, and the next read continues. EAGAIN or any other error: no more records.
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") return lines;
      }
    }
  }
}
