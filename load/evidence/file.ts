/**
 * The file that a run's evidence is for. A run takes minutes and its evidence is all that is left of it: so the place is
 * tried before the run, and the text written aside and renamed, so that an older file is replaced whole or not at all.
 * Where that fails in the end (a full disk) it goes to the folder for temporary files. Runs in the coordinator.
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

/** Where the evidence is: `path` is undefined where it could be kept nowhere, `why` says that it is not where it should be. */
export interface Kept {
  readonly path: string | undefined;
  readonly why?: string;
}

export class EvidenceFile {
  /** What is written to: behind a symbolic link, the file itself. */
  readonly #file: string;
  /** No file can be put in its place: a pipe, a device, or a file in a folder that is not ours. */
  readonly #isInPlace: boolean;

  /** Throws `config` where no file can be written. */
  constructor(private readonly path: string) {
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
    writeText(this.#aside, "");
    rmSync(this.#aside);
  }

  get #aside(): string {
    return `${this.#file}.${process.pid}.tmp`;
  }

  /** Never throws: what went wrong is said in the answer. */
  keep(evidence: Evidence): Kept {
    const text = `${JSON.stringify(evidence, null, 2)}\n`;
    try {
      this.#write(text);
      return { path: this.path };
    } catch (error) {
      const why = `the evidence could not be written to ${this.path}: ${(error as Error).message}`;
      return keepElsewhere(text, why);
    }
  }

  #write(text: string): void {
    if (this.#isInPlace) {
      writeText(this.path, text);
      return;
    }
    try {
      // It may have been taken away meanwhile.
      makeFolders(dirname(this.#file));
      writeText(this.#aside, text);
      renameSync(this.#aside, this.#file);
    } catch (error) {
      rmSync(this.#aside, { force: true });
      throw error;
    }
  }
}

/** `/dev/stdout` may lead to a pipe, which has no path of its own. */
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
    // Nobody may have laid a link there.
    writeText(path, text, "wx");
    return { path, why: `${why}; it is in ${path}` };
  } catch {
    return { path: undefined, why: `${why}, nor to ${path}; it follows on stdout` };
  }
}

/** Whole and on disk, or an error. */
function writeText(path: string, text: string, flags: "w" | "wx" = "w"): void {
  const bytes = Buffer.from(text);
  const file = openSync(path, flags, 0o644);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    try {
      fsyncSync(file);
    } catch (error) {
      // Pipes and devices have no disk.
      if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    }
  } finally {
    closeSync(file);
  }
}
