/**
 * Kernel files that are read again and again, below a root folder. Each is opened once and stays open, because their content
 * is needed most when no more files can be opened. Runs in the load coordinator and in the supervisor.
 */
import { openSync, readSync } from "node:fs";

export class KernelFiles {
  readonly #root: string;
  readonly #descriptors = new Map<string, number>();
  readonly #buffer = Buffer.allocUnsafe(65_536);

  constructor(root = "/") {
    this.#root = root;
  }

  /** The whole text as it is now; "" for a file that does not exist. */
  text(path: string): string {
    try {
      const descriptor = this.#descriptors.get(path) ?? openSync(this.#root + path, "r");
      this.#descriptors.set(path, descriptor);
      return this.#readAll(descriptor);
    } catch {
      return "";
    }
  }

  /** From the beginning, until nothing more comes: the kernel returns long lists in several pieces. */
  #readAll(descriptor: number): string {
    const pieces: string[] = [];
    let at = 0;
    for (;;) {
      const length = readSync(descriptor, this.#buffer, 0, this.#buffer.length, at);
      if (length === 0) return pieces.join("");
      pieces.push(this.#buffer.toString("latin1", 0, length));
      at += length;
    }
  }
}
