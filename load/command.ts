/**
 * `megagate load`: its options, its report and its exit status. The run itself is loaded when the command is given, since
 * every command line passes here. Runs in the coordinator process.
 */
import type { Command } from "commander";
import { addOptions } from "../src/config/help.js";
import { readConfigFile, resolve } from "../src/config/resolve.js";
import { type Evidence, exitStatus } from "./evidence.js";
import { LOAD_OPTIONS, type LoadConfig } from "./options.js";
import { renderReport } from "./report.js";

/** Adds the command to the program; the action sets the process's exit status. */
export function registerLoad(program: Command): void {
  const command = program
    .command("load")
    .description("Open many WebSockets to a gateway, hold them, push to all, and write the evidence.")
    .option("--config <path>", "YAML file of these options");
  addOptions(command, LOAD_OPTIONS).action(async (flags: Record<string, unknown>) => {
    process.exitCode = await loadCommand(flags);
  });
}

async function loadCommand({ config: path, ...flags }: Readonly<Record<string, unknown>>): Promise<number> {
  const file = typeof path === "string" ? { file: readConfigFile(path) } : {};
  const { config } = resolve(LOAD_OPTIONS, { flags, env: process.env, ...file });
  const evidence = await runLoad(config);
  process.stdout.write(`${renderReport(evidence)}\nevidence: ${config.report}\n`);
  return exitStatus(evidence.verdict);
}

/**
 * One run; its evidence is written to `config.report` whatever becomes of it. Throws GatewayError, before anything is
 * forked, for a target that is not reachable (exit 1) or a plan that cannot succeed (3).
 */
export async function runLoad(config: LoadConfig): Promise<Evidence> {
  const { runTrial } = await import("./trial.js");
  return runTrial(config);
}
