/** The private directory of the hub's socket: the one of --run-dir, or one of this process's own that goes with it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GatewayError } from "../errors.js";

/** Longest path of a unix socket, less the file name. */
const MAX_BYTES = 85;

export class RunDir {
  readonly #path: string;
  readonly #isOwn: boolean;

  /** Throws `config` where the path is too long. */
  constructor(wanted: string) {
    this.#isOwn = wanted === "";
    this.#path = this.#isOwn ? mkdtempSync(join(tmpdir(), "megagate-")) : wanted;
    if (Buffer.byteLength(this.#path) > MAX_BYTES) {
      const detail = `--run-dir: at most ${MAX_BYTES} bytes long, or the kernel refuses the socket in it`;
      throw new GatewayError("config", detail);
    }
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
  }

  get socketPath(): string {
    return join(this.#path, `hub-${process.pid}.sock`);
  }

  clean(): void {
    rmSync(this.#isOwn ? this.#path : this.socketPath, { recursive: true, force: true });
  }
}
