/**
 * Reads small kernel files below a root folder: "/" for this machine, another folder for a recorded host (--root). A file that
 * cannot be read counts as absent. `note` gets each path that is read: a recording of the host must hold these (record.ts).
 * Runs in the command line and in the supervisor; it must not write.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export class Tree {
  readonly root: string;
  readonly #note: (path: string) => void;

  constructor(root: string, note: (path: string) => void = () => undefined) {
    this.root = root;
    this.#note = note;
  }

  /** The text without surrounding white space; undefined where it cannot be read. */
  text(path: string): string | undefined {
    return attempt(() => readFileSync(this.at(path), "utf8").trim());
  }

  bytes(path: string): Buffer | undefined {
    return attempt(() => readFileSync(this.at(path)));
  }

  /** The first whole number of the text. "max" and "unlimited" are Infinity; undefined where there is no number. */
  number(path: string): number | undefined {
    return limitOf(this.text(path)?.split(/\s+/)[0]);
  }

  /** The target of a symbolic link, such as "pid:[4026531836]"; the target need not exist. */
  link(path: string): string | undefined {
    return attempt(() => readlinkSync(this.at(path)));
  }

  exists(path: string): boolean {
    return this.text(path) !== undefined || attempt(() => readdirSync(this.at(path))) !== undefined;
  }

  /** The path below the root folder; notes it. */
  at(path: string): string {
    this.#note(path);
    return join(this.root, path);
  }
}

/** A limit as the kernel writes it. */
export function limitOf(text: string | undefined): number | undefined {
  if (text === "max" || text === "unlimited") return Number.POSITIVE_INFINITY;
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
