#!/usr/bin/env node
/**
 * argv to command to exit status; nothing else decides exit codes. Checks the machine before it loads anything heavy or
 * native, so that a wrong Node, processor or descriptor limit gets one plain sentence instead of a stack trace.
 */
import { surviveBrokenOutput } from "./commands/output.js";
import { thisMachine, tooFewDescriptors, unsupported } from "./platform.js";

surviveBrokenOutput();
const why = unsupported(thisMachine()) ?? tooFewDescriptors();
if (why !== undefined) {
  process.stderr.write(`${why}\n`);
  process.exitCode = 2;
} else {
  const { run } = await import("./commands/program.js");
  process.exitCode = await run(process.argv);
}
