/**
 * `megagate load`: its options, its report and its exit status. The run itself is loaded when the command is given, since
 * every command line passes here. Runs in the coordinator process.
 */
import type { Command } from "commander";
import { addOptions } from "../src/config/help.js";
import { readConfigFile, resolve } from "../src/config/resolve.js";
import { GatewayError } from "../src/errors.js";
import { type Evidence, exitStatus } from "./evidence/evidence.js";
import { EvidenceFile } from "./evidence/file.js";
import { renderReport } from "./evidence/report.js";
import type { LoadConfig } from "./options.js";
import { LOAD_AND_SCENARIO_OPTIONS, SCENARIOS, type ScenarioConfig } from "./scenarios/options.js";

/** Adds the command to the program; the action sets the process's exit status. */
export function registerLoad(program: Command): void {
  const command = program
    .command("load")
    .description("Open many WebSockets to a gateway, hold them, push to all, and write the evidence.")
    .argument("[scenario]", `what happens to them: ${SCENARIOS.join(", ")} (the same as --scenario)`)
    .option("--config <path>", "YAML file of these options");
  addOptions(command, LOAD_AND_SCENARIO_OPTIONS).action(
    async (scenario: string | undefined, flags: Record<string, unknown>) => {
      process.exitCode = await loadCommand(withScenario(flags, scenario));
    },
  );
}

/** The word and the flag are one option; two different ones are a mistake. */
function withScenario(flags: Record<string, unknown>, word: string | undefined): Record<string, unknown> {
  if (word === undefined) return flags;
  if (flags.scenario !== undefined && flags.scenario !== word) {
    throw new GatewayError("usage", `two scenarios: ${word}, and --scenario says another; give one`);
  }
  return { ...flags, scenario: word };
}

async function loadCommand({ config: path, ...flags }: Readonly<Record<string, unknown>>): Promise<number> {
  const file = typeof path === "string" ? { file: readConfigFile(path) } : {};
  const given = { command: "load", flags, env: process.env, ...file };
  const { config } = resolve(LOAD_AND_SCENARIO_OPTIONS, given);
  const place = new EvidenceFile(config.report);
  return conclude(await (config.scenario === "steady" ? runLoad(config) : runScenario(config)), place);
}

/** Shows the result and keeps the evidence; what comes first cannot keep the other away. Returns the exit status. */
export function conclude(evidence: Evidence, place: EvidenceFile): number {
  process.stdout.write(`${renderReport(evidence)}\n`);
  const status = exitStatus(evidence.verdict);
  const kept = place.keep(evidence);
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
 * One run; its evidence is there whatever becomes of it. Throws GatewayError, before anything is forked, for a target that
 * is not reachable (exit 1) or a plan that cannot succeed (3).
 */
export async function runLoad(config: LoadConfig): Promise<Evidence> {
  const { runTrial } = await import("./run/trial.js");
  return runTrial(config);
}

async function runScenario(config: ScenarioConfig): Promise<Evidence> {
  const [{ runTrial }, { scenarioOf }] = await Promise.all([import("./run/trial.js"), import("./scenarios/run.js")]);
  // What happens instead of them.
  const bare = { ...config, holdSeconds: 0, heartbeatsPerConnection: 0, broadcasts: 0 };
  return runTrial(bare, scenarioOf(config));
}
