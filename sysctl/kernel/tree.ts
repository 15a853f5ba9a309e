/**
 * Small kernel files below a root folder: "/" in earnest, a recorded host with --root. What cannot be read is absent. A tree can
 * be told to note each path that is asked for: what was asked is what a recording of the host must hold (record.ts).
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export class Tree {
  constructor(
    readonly root: string,
    private readonly note: (path: string) => void = () => undefined,
  ) {}

  /** The text, without the space around it; undefined where it cannot be read. */
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

  /** What a symbolic link says, such as "pid:[4026531836]"; it need not lead anywhere. */
  link(path: string): string | undefined {
    return attempt(() => readlinkSync(this.at(path)));
  }

  exists(path: string): boolean {
    return this.text(path) !== undefined || attempt(() => readdirSync(this.at(path))) !== undefined;
  }

  /** Where it is; noted. */
  at(path: string): string {
    this.note(path);
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
