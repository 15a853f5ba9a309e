/**
 * The keys of the admin port over the life of a gateway: read at the start, again when the file changes or when asked to.
 * A file that is not usable then changes nothing, which the log says. The keys outlive the hub process here, as digests.
 * Supervisor only.
 */
import { type BigIntStats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { type AdminKey, readAdminKeys } from "../config/admin-keys.js";
import type { Log } from "../log.js";

/** By polling, because a Kubernetes Secret changes by a symbolic link two folders above. */
const POLL_MS = 1000;

export interface KeyFileOptions {
  readonly path: string;
  readonly log: Log;
  readonly onKeys: (keys: readonly AdminKey[]) => void;
  /** Between two looks at the file, milliseconds; a test does not wait a second for each. */
  readonly pollMs?: number;
}

export class KeyFile {
  readonly #path: string;
  readonly #log: Log;
  readonly #onKeys: (keys: readonly AdminKey[]) => void;
  readonly #pollMs: number;
  #keys: readonly AdminKey[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The file as it was last read, and as it was last seen. */
  #read = "";
  #seen = "";

  constructor({ path, log, onKeys, pollMs = POLL_MS }: KeyFileOptions) {
    this.#path = path;
    this.#log = log;
    this.#onKeys = onKeys;
    this.#pollMs = pollMs;
  }

  get keys(): readonly AdminKey[] {
    return this.#keys;
  }

  /** Throws `config` where the file is not usable: a gateway does not start on keys that nobody gave. */
  start(): void {
    this.#keys = this.#readKeys();
    this.#log("info", "the admin port asks for keys", this.#fields());
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  reload(): void {
    try {
      this.#keys = this.#readKeys();
      this.#onKeys(this.#keys);
      this.#log("info", "keys of the admin port were read again", this.#fields());
    } catch (error) {
      this.#log("error", "keys of the admin port stay as they were: the file is not usable", {
        error: (error as Error).message,
      });
    }
  }

  /** Marks it as read first: what changes meanwhile is seen by the next sample. */
  #readKeys(): readonly AdminKey[] {
    this.#read = markNow(this.#path);
    return readAdminKeys(this.#path);
  }

  #fields(): { file: string; keys: string } {
    return {
      file: this.#path,
      keys: this.#keys.map(({ name, scopes }) => `${name} (${scopes.join(", ")})`).join("; "),
    };
  }

  #schedule(): void {
    this.#timer = setTimeout(() => void this.#sample(), this.#pollMs);
  }

  /** Reads a changed file once it has stood still for a sample: an editor may write it in pieces. */
  async #sample(): Promise<void> {
    const mark = markOf(await stat(this.#path, { bigint: true }).catch(() => undefined));
    if (this.#timer === undefined) return;
    if (mark !== this.#read && mark === this.#seen) this.reload();
    this.#seen = mark;
    this.#schedule();
  }
}

/** "" where nothing can be seen there: then reading says why. */
function markNow(path: string): string {
  try {
    return markOf(statSync(path, { bigint: true }));
  } catch {
    return markOf(undefined);
  }
}

/** Changes with the content, the permissions, and the file that stands at the path. */
const markOf = (stats: BigIntStats | undefined): string =>
  stats === undefined ? "" : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join();
