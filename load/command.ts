/**
 * `megagate load`: its options, its report and its exit status. The code of the run is imported only when the command runs,
 * because every command line registers this command. Runs in the coordinator process.
 */
import type { Command } from "commander";
import { addOptions } from "../src/config/help.js";
import { readConfigFile, resolve } from "../src/config/resolve.js";
import { GatewayError } from "../src/errors.js";
import { type Evidence, exitStatus } from "./evidence/evidence.js";
import { EvidenceFile } from "./evidence/file.js";
import { renderReport } from "./evidence/report.js";
import type { LoadConfig } from "./options.js";
import { LOAD_AND_SCENARIO_OPTIONS, SCENARIO_NAMES, type ScenarioConfig } from "./scenarios/options.js";

/** Adds the command to the program; the action sets the process's exit status. */
export function registerLoad(program: Command): void {
  const command = program
    .command("load")
    .description("Open many WebSockets to a gateway, hold them, push to all, and write the evidence.")
    .argument("[scenario]", `what happens to them: ${SCENARIO_NAMES.join(", ")} (the same as --scenario)`)
    .option("--config <path>", "YAML file of these options");
  addOptions(command, LOAD_AND_SCENARIO_OPTIONS).action(
    async (scenario: string | undefined, flags: Record<string, unknown>) => {
      process.exitCode = await loadCommand(withScenario(flags, scenario));
    },
  );
}

/** The argument and --scenario are one option; two different values are a mistake. */
function withScenario(flags: Record<string, unknown>, argument: string | undefined): Record<string, unknown> {
  if (argument === undefined) return flags;
  const { scenario = argument } = flags;
  if (scenario !== argument) {
    throw new GatewayError("usage", `two scenarios: ${argument}, and --scenario ${String(scenario)}; give one`);
  }
  return { ...flags, scenario };
}

async function loadCommand({ config: path, ...flags }: Readonly<Record<string, unknown>>): Promise<number> {
  const file = typeof path === "string" ? { file: readConfigFile(path) } : {};
  const given = { command: "load", flags, env: process.env, ...file };
  const { config } = resolve(LOAD_AND_SCENARIO_OPTIONS, given);
  const report = new EvidenceFile(config.report);
  return conclude(await (config.scenario === "steady" ? runLoad(config) : runScenario(config)), report);
}

/** Prints the report and writes the evidence, of which neither may prevent the other. Returns the exit status. */
export function conclude(evidence: Evidence, report: EvidenceFile): number {
  process.stdout.write(`${renderReport(evidence)}\n`);
  const status = exitStatus(evidence.verdict);
  const kept = report.keep(evidence);
  if (kept.why === undefined) {
    process.stdout.write(`evidence: ${kept.path}\n`);
    return status;
  }
  process.stderr.write(`megagate: ${kept.why}\n`);
  if (kept.path === undefined) process.stdout.write(`${JSON.stringify(evidence)}\n`);
  else process.stdout.write(`evidence: ${kept.path}\n`);
  return status === 0 ? 1 : status;
}

/**
 * One run; returns its evidence however the run ends. Throws GatewayError, before anything is forked, for a target that is
 * not reachable (exit 1) or a plan that cannot succeed (exit 3).
 */
export async function runLoad(config: LoadConfig): Promise<Evidence> {
  const { runTrial } = await import("./run/trial.js");
  return runTrial(config);
}

async function runScenario(config: ScenarioConfig): Promise<Evidence> {
  const [{ runTrial }, { scenarioOf }] = await Promise.all([import("./run/trial.js"), import("./scenarios/run.js")]);
  // The scenario takes the place of hold and broadcasts.
  const bare = { ...config, holdSeconds: 0, heartbeatsPerConnection: 0, broadcasts: 0 };
  return runTrial(bare, scenarioOf(config));
}
