/**
 * A kernel value that is lowered for a test and put back exactly, whatever becomes of the test: a detached shell holds the
 * old text and writes it back when its standard input closes, also because this process was killed. It works in the
 * namespaces of the moment in which it was started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { needsRoot } from "./needs.js";
import { until } from "./wait.js";

// Two runs of the tests must not take each other's lowered value for the old one.
const GUARD = `
trap '' INT TERM HUP PIPE
exec 9>"$2"
if command -v flock >/dev/null; then flock -w 120 9 || exit 1; fi
old=$(cat "$1") || exit 1
while read -r value; do echo "$value" > "$1" && echo set; done
echo "$old" > "$1"
echo restored 2>/dev/null
`;
/** Another run may have the value for so long. */
const PATIENCE_MS = 130_000;

export class Lowered implements AsyncDisposable {
  readonly #guard: ChildProcess;
  #output = "";

  private constructor(guard: ChildProcess) {
    this.#guard = guard;
    guard.stdout!.on("data", (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
  }

  /** Why this test may not change the value; false where it may. */
  static whyNot(path: string): string | false {
    try {
      accessSync(path, constants.W_OK);
      return needsRoot("to change a kernel setting");
    } catch {
      return `needs root on a kernel with ${path}: it is missing, or cannot be written here`;
    }
  }

  /** Begins to guard the value; changes nothing yet. */
  static guard(path: string): Lowered {
    const lock = join(tmpdir(), `megagate-${basename(path)}.lock`);
    return new Lowered(
      spawn("sh", ["-c", GUARD, "sh", path, lock], { stdio: ["pipe", "pipe", "inherit"], detached: true }),
    );
  }

  async set(value: number): Promise<void> {
    const times = this.#count("set") + 1;
    this.#guard.stdin!.write(`${value}\n`);
    await until(
      "the value is set",
      () => this.#count("set"),
      (n) => n === times,
      PATIENCE_MS,
    );
  }

  /** May be asked twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#guard.stdin!.writableEnded) this.#guard.stdin!.end();
    await until(
      "the value is back",
      () => this.#count("restored"),
      (n) => n === 1,
      PATIENCE_MS,
    );
  }

  #count(word: string): number {
    return this.#output.split("\n").filter((line) => line === word).length;
  }
}
