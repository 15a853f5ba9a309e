/**
 * The private folder of the hub's socket: the one of --run-dir, or one of this process's own that goes with it. Several
 * gateways may share one, each in a pid namespace of its own, so the socket's name and the token that workers show there
 * come from chance. Supervisor only.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GatewayError } from "../errors.js";
import { makeFolders } from "../folders.js";

/** Longest path of a unix socket (107), less the file name: /hub-, twelve characters, .sock. */
const MAX_BYTES = 85;
const WRITABLE_BY_OTHERS = 0o022;
/** A hub that is just starting has its socket but does not listen yet: only what is older may be left over. */
const LEFT_OVER_MS = 60_000;

export class RunDir {
  readonly #path: string;
  readonly #isOwn: boolean;
  readonly socketPath: string;
  /** Proves a worker to the hub: the first thing that it must send. */
  readonly token = randomBytes(16).toString("hex");

  /** Throws `config` where the folder cannot be used, or others could put their own socket in the place of ours. */
  constructor(wanted: string) {
    this.#isOwn = wanted === "";
    this.#path = this.#isOwn ? temporary() : wanted;
    this.socketPath = join(this.#path, `hub-${randomBytes(9).toString("base64url")}.sock`);
    if (Buffer.byteLength(this.#path) > MAX_BYTES) {
      this.clean();
      const name = this.#isOwn ? `the folder for temporary files (${tmpdir()}, by TMPDIR)` : "--run-dir";
      const remedy = this.#isOwn ? "name a shorter one with --run-dir" : "name a shorter one";
      const detail = `${name}: at most ${MAX_BYTES} bytes long, or the kernel refuses the socket in it; ${remedy}`;
      throw new GatewayError("config", detail);
    }
    if (this.#isOwn) return;
    tryFolder(wanted);
    refuseShared(wanted);
    removeLeftOver(wanted);
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

/** Whoever may write there could put a socket in the place of the hub's. */
function refuseShared(path: string): void {
  const { uid, mode } = statSync(path);
  const own = process.geteuid?.() ?? uid;
  const remedy = "name a folder of this user's alone, or one that does not exist yet";
  const octal = (mode & 0o7777).toString(8);
  if (uid !== own) {
    const detail = `${path} belongs to user ${uid}, and this is user ${own}: ${remedy}`;
    throw new GatewayError("config", `--run-dir: ${detail}`);
  }
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  const detail = `${path} can be written by others (mode ${octal}): chmod 700 ${path}, or ${remedy}`;
  throw new GatewayError("config", `--run-dir: ${detail}`);
}

/** Sockets of gateways that were killed: nobody listens there any more. */
function removeLeftOver(folder: string): void {
  for (const name of readdirSync(folder).filter((one) => /^hub-[\w-]+\.sock$/.test(one))) {
    const path = join(folder, name);
    const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modified < LEFT_OVER_MS) continue;
    const probe = createConnection(path, () => probe.destroy());
    probe.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") rmSync(path, { force: true });
    });
  }
}
