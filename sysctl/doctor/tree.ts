/** Small kernel files below a root folder: "/" in earnest, a recorded host in tests. What cannot be read is absent. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

export class Tree {
  constructor(private readonly root: string) {}

  /** The text, without the space around it; undefined where it cannot be read. */
  text(path: string): string | undefined {
    return attempt(() => readFileSync(join(this.root, path), "utf8").trim());
  }

  /** The first whole number of the text. "max" and "unlimited" are Infinity; undefined where there is no number. */
  number(path: string): number | undefined {
    return limitOf(this.text(path)?.split(/\s+/)[0]);
  }

  /** What a symbolic link says, such as "pid:[4026531836]"; it need not lead anywhere. */
  link(path: string): string | undefined {
    return attempt(() => readlinkSync(join(this.root, path)));
  }

  exists(path: string): boolean {
    return this.text(path) !== undefined || attempt(() => readdirSync(join(this.root, path))) !== undefined;
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
