#!/usr/bin/env node
/**
 * The load generator on its own, for hosts that run no gateway: the same command that src/cli.ts registers.
 */
import { Command } from "commander";
import { GatewayError } from "../src/errors.js";
import { registerLoad } from "./command.js";

const program = new Command("megagate");
registerLoad(program);
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof GatewayError)) throw error;
  process.stderr.write(`${error.kind}: ${error.detail}\n`);
  process.exitCode = "exit" in error.row ? error.row.exit : 1;
}
