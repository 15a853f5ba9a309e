/**
 * The file for a run's evidence. A run takes minutes, and only the evidence is left of it: so the path is tested before the
 * run, and the text is written to a temporary file and renamed, which replaces an older file whole or not at all.
 * Where that fails at the end (a full disk), the evidence goes to the system's folder for temporary files. Runs in the
 * coordinator.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import type { Evidence } from "./evidence.js";

/** Where the evidence was written: `path` is undefined where it could not be written at all; `why` explains any other place than --report. */
export interface Kept {
  readonly path: string | undefined;
  readonly why?: string;
}

export class EvidenceFile {
  readonly #path: string;
  /** The file to write: where the path is a symbolic link, its target. */
  readonly #file: string;
  /** It cannot be replaced by a rename: a pipe, a device, or a file in a folder where this user may not write. */
  readonly #isInPlace: boolean;

  /** Throws `config` where no file can be written. */
  constructor(path: string) {
    this.#path = path;
    try {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory()) throw new Error("it is a folder");
      this.#file = stat === undefined ? path : realpathOf(path);
      const isFile = (stat?.isFile() ?? true) && !/^\/(?:dev|proc)\//.test(resolve(path));
      this.#isInPlace = stat !== undefined && (!isFile || !this.#canReplace());
      if (this.#isInPlace) accessSync(path, constants.W_OK);
      else if (stat === undefined) this.#tryPlace();
    } catch (error) {
      const remedy = "name a file that this user may write with --report";
      throw new GatewayError("config", `--report: ${path} cannot be written: ${(error as Error).message}; ${remedy}`);
    }
  }

  #canReplace(): boolean {
    try {
      this.#tryPlace();
      return true;
    } catch {
      return false;
    }
  }

  #tryPlace(): void {
    makeFolders(dirname(this.#file));
    writeText(this.#temporary, "");
    rmSync(this.#temporary);
  }

  get #temporary(): string {
    return `${this.#file}.${process.pid}.tmp`;
  }

  /** Writes the evidence. Never throws: a failure is in the result. */
  keep(evidence: Evidence): Kept {
    const text = `${JSON.stringify(evidence, null, 2)}\n`;
    try {
      this.#write(text);
      return { path: this.#path };
    } catch (error) {
      const why = `the evidence could not be written to ${this.#path}: ${(error as Error).message}`;
      return keepElsewhere(text, why);
    }
  }

  #write(text: string): void {
    if (this.#isInPlace) {
      writeText(this.#path, text);
      return;
    }
    try {
      // The folder may have been removed since the test.
      makeFolders(dirname(this.#file));
      writeText(this.#temporary, text);
      renameSync(this.#temporary, this.#file);
    } catch (error) {
      rmSync(this.#temporary, { force: true });
      throw error;
    }
  }
}

/** `/dev/stdout` may point to a pipe, which has no path of its own. */
function realpathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function keepElsewhere(text: string, why: string): Kept {
  const path = join(tmpdir(), `megagate-evidence-${process.pid}.json`);
  try {
    // "wx": another user of the shared folder may have put a link there.
    writeText(path, text, "wx");
    return { path, why: `${why}; it is in ${path}` };
  } catch {
    return { path: undefined, why: `${why}, nor to ${path}; it follows on stdout` };
  }
}

/** Writes the whole text and syncs it to disk, or throws. */
function writeText(path: string, text: string, flags: "w" | "wx" = "w"): void {
  const bytes = Buffer.from(text);
  const file = openSync(path, flags, 0o644);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    try {
      fsyncSync(file);
    } catch (error) {
      // Pipes and devices cannot be synced.
      if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    }
  } finally {
    closeSync(file);
  }
}
