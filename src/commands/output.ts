/**
 * What becomes of a command whose stdout or stderr nobody reads any more (`| head`), or that cannot take what is written
 * (a full disk): it goes on to its end, and nothing is printed about where in the code that was. A reader that left had
 * enough; a result that could not be written is reported on stderr. The process of every command; hub, workers and generators
 * see to themselves.
 */
import { setImmediate as turn } from "node:timers/promises";

let lost: Error | undefined;

/** To be called before anything is written. */
export function surviveBrokenOutput(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (lost !== undefined || error.code === "EPIPE") return;
    lost = error;
    process.stderr.write(`megagate: stdout could not be written: ${error.message}\n`);
  });
}

/** 1 when something that belonged on stdout was lost there; known once the last writes have failed. */
export async function outputStatus(): Promise<0 | 1> {
  await turn();
  return lost === undefined ? 0 : 1;
}
