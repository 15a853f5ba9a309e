/**
 * Kernel files that are read again and again, below a root folder: each is opened once and stays open, because what they
 * say is needed most when no more files can be opened. Runs in the coordinator.
 */
import { openSync, readSync } from "node:fs";

export class KernelFiles {
  private readonly descriptors = new Map<string, number>();
  private readonly buffer = Buffer.allocUnsafe(65_536);

  constructor(private readonly root = "/") {}

  /** The whole text as it is now; "" for what is not there. */
  text(path: string): string {
    try {
      const descriptor = this.descriptors.get(path) ?? openSync(this.root + path, "r");
      this.descriptors.set(path, descriptor);
      return this.readAll(descriptor);
    } catch {
      return "";
    }
  }

  /** From the beginning; the kernel hands out lists in pieces. */
  private readAll(descriptor: number): string {
    const pieces: string[] = [];
    let at = 0;
    for (;;) {
      const length = readSync(descriptor, this.buffer, 0, this.buffer.length, at);
      if (length === 0) return pieces.join("");
      pieces.push(this.buffer.toString("latin1", 0, length));
      at += length;
    }
  }
}
