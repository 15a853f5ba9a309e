/** The private directory of the hub's socket: the one of --run-dir, or one of this process's own that goes with it. */
import { mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GatewayError } from "../errors.js";
import { makeFolders } from "../folders.js";

/** Longest path of a unix socket, less the file name. */
const MAX_BYTES = 85;

export class RunDir {
  readonly #path: string;
  readonly #isOwn: boolean;

  /** Throws `config` where no file can be made there, or the path is too long. */
  constructor(wanted: string) {
    this.#isOwn = wanted === "";
    this.#path = this.#isOwn ? temporary() : wanted;
    if (Buffer.byteLength(this.#path) > MAX_BYTES) {
      this.clean();
      const name = this.#isOwn ? `the folder for temporary files (${tmpdir()}, by TMPDIR)` : "--run-dir";
      const remedy = this.#isOwn ? "name a shorter one with --run-dir" : "name a shorter one";
      const detail = `${name}: at most ${MAX_BYTES} bytes long, or the kernel refuses the socket in it; ${remedy}`;
      throw new GatewayError("config", detail);
    }
    if (!this.#isOwn) tryFolder(wanted);
  }

  get socketPath(): string {
    return join(this.#path, `hub-${process.pid}.sock`);
  }

  clean(): void {
    rmSync(this.#isOwn ? this.#path : this.socketPath, { recursive: true, force: true });
  }
}

function temporary(): string {
  try {
    return mkdtempSync(join(tmpdir(), "megagate-"));
  } catch (error) {
    const why = `no folder can be made in ${tmpdir()}: ${(error as Error).message}`;
    const remedy = "set TMPDIR to a folder that this user may write, or name one with --run-dir";
    throw new GatewayError("config", `TMPDIR: ${why}; ${remedy}`);
  }
}

/** Whether this user may make files there is known for certain only once one was made. */
function tryFolder(path: string): void {
  try {
    makeFolders(path, 0o700);
    rmdirSync(mkdtempSync(join(path, "try-")));
  } catch (error) {
    const remedy = "name a folder that this user may write";
    throw new GatewayError("config", `--run-dir: ${path} cannot be used: ${(error as Error).message}; ${remedy}`);
  }
}
