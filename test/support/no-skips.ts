/**
 * What a test needs and a machine may lack: the test is then skipped with a sentence that says so. Where NO_SKIPS=1 is set, as
 * .ci/run does, nothing may be lacking, and the skip is a failure.
 */
import { spawnSync } from "node:child_process";

/** For the `skip` of a test. Throws where no skips are allowed. */
export function skipFor(reason: string | false): string | false {
  if (reason === false || process.env.NO_SKIPS !== "1") return reason;
  throw new Error(`NO_SKIPS=1, and this test would be skipped: ${reason}`);
}

/** Why programs cannot be run here. */
export function missing(...programs: readonly string[]): string | false {
  const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
  const lacking = programs.filter(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH: path } }).status !== 0,
  );
  return lacking.length > 0 && `needs ${lacking.join(" and ")} (apt-get install ${lacking.join(" ")})`;
}
