/**
 * The command `megagate doctor`: its option table, and the way from options to a survey, ceilings and a report. Changes nothing
 * on the machine, except that --prove changes one value for a moment (sysctl/prove/).
 * If a known ceiling is below the plan, the command throws the error `failed` after the report is printed; src/cli.ts turns
 * that into the exit status, so that a pipeline or a start-up probe can depend on it.
 */
import type { Command } from "commander";
import { addOptions } from "../../src/config/help.js";
import { resolve } from "../../src/config/resolve.js";
import { type ConfigOf, choice, flag, text, whole } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import { chooseHost, RECORDED_OPTIONS } from "../kernel/recorded.js";
import { leftover } from "../prove/trace.js";
import { portList } from "../tune/command.js";
import type { DoctorCeiling, DoctorPlan, Verdict } from "./ceiling.js";
import { ceilingsOf } from "./ceilings.js";
import { doctorJson } from "./json.js";
import { record } from "./record.js";
import { reportDoctor } from "./report.js";
import { survey } from "./survey.js";
import { isTracking } from "./tracking.js";

/** The environment and the output of the process; tests replace "/" by a fixture folder, and the probe. */
export interface DoctorDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly root?: string;
  readonly tracks?: () => Promise<boolean | null>;
}

export const DOCTOR_OPTIONS = {
  connections: whole({
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    unit: "connections",
    explanation: "Connections that the machine should hold; a ceiling below it is called low",
  }),
  side: choice({
    default: "server",
    choices: ["server", "client", "both"],
    explanation: "Which ends of them are on this machine: the gateway's, the load generator's, or both",
  }),
  ports: portList({
    default: [8080, 8081],
    explanation: "Ports that the gateway listens on",
  }),
  sources: whole({
    default: 0,
    min: 0,
    max: 100_000,
    unit: "addresses",
    explanation:
      "Local addresses that client ends connect from; 0 is one, or on loopback (both ends here) as many as needed",
  }),
  destinations: whole({
    default: 1,
    min: 1,
    max: 1_000_000,
    unit: "pairs",
    explanation: "Pairs of address and port that client ends connect to",
  }),
  json: flag({ default: false, explanation: "Print the report as JSON (megagate.doctor.v1)" }),
  ...RECORDED_OPTIONS,
  record: text({
    default: "",
    unit: "path",
    range: "a new folder",
    explanation:
      "Instead of the report, write what doctor and tune read of this host into this folder, for --root elsewhere; of the environment only the variables that mark a pod or a container",
  }),
  strict: flag({ default: false, explanation: "Fail also where a ceiling is unknown" }),
  prove: flag({
    default: false,
    explanation:
      "Instead of the survey, show the 262,144-entry conntrack limit (26w) and its two cures in temporary network namespaces; needs root",
  }),
  full: flag({
    default: false,
    explanation:
      "With --prove: at 262,144 connections instead of 5,000, which needs 4.2 GB of free memory and half a minute",
  }),
} as const;

type DoctorConfig = ConfigOf<typeof DOCTOR_OPTIONS>;

/** Registers the command. Its action throws GatewayError; it neither exits nor sets the exit status. */
export function addDoctorCommand(program: Command, deps: DoctorDeps): void {
  addOptions(
    program
      .command("doctor")
      .description("show which limit stops this machine first, at how many connections, and the remedy"),
    DOCTOR_OPTIONS,
  ).action((flags: Record<string, unknown>) => runDoctor(flags, deps));
}

async function runDoctor(flags: Readonly<Record<string, unknown>>, deps: DoctorDeps): Promise<void> {
  const { env, stdout, tracks = isTracking } = deps;
  const { config } = resolve(DOCTOR_OPTIONS, { command: "doctor", flags, env });
  if (config.full && !config.prove) throw new GatewayError("usage", "--full goes with --prove");
  if (config.prove) {
    await runProof(config, stdout);
    return;
  }
  const host = chooseHost(config, { tracks, ...(deps.root && { root: deps.root }) });
  const { root } = host;
  if (config.record !== "") {
    stdout.write(await record(config.record, host));
    return;
  }
  const warning = leftover(root);
  if (warning !== undefined) process.stderr.write(`megagate: ${warning}\n`);
  // Read before the probe connects: its entries expire soon and must not count as used.
  const before = survey(root);
  const live = await host.tracks();
  const facts = { ...before, tracking: before.tracking && { ...before.tracking, live } };
  const plan = doctorPlan(config);
  const ceilings = ceilingsOf(facts, plan);
  if (config.json) stdout.write(`${JSON.stringify(doctorJson(ceilings, facts, plan), null, 2)}\n`);
  // no-color.org: any value that is not empty switches colour off.
  else stdout.write(reportDoctor(ceilings, { facts, plan, colour: stdout.isTTY === true && !env.NO_COLOR }));
  failWhereBelow(ceilings, config);
}

async function runProof({ full, json }: DoctorConfig, stdout: DoctorDeps["stdout"]): Promise<void> {
  const { prove } = await import("../prove/prove.js");
  // With --json, stdout holds the result alone: the progress goes to stderr.
  const result = await prove({ full, stdout: json ? process.stderr : stdout });
  if (json) stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

const doctorPlan = ({ connections, side, ports, sources, destinations }: DoctorConfig): DoctorPlan => ({
  connections,
  side,
  listenPorts: ports,
  sources,
  destinations,
  open: 0,
});

function failWhereBelow(ceilings: readonly DoctorCeiling[], { connections, strict }: DoctorConfig): void {
  const countLimits = ceilings.filter(({ counts }) => counts);
  const named = (wanted: Verdict): string =>
    countLimits
      .filter(({ verdict }) => verdict === wanted)
      .map(({ limit }) => limit)
      .join(", ");
  const [low, unknown] = [named("low"), named("unknown")];
  if (low !== "") throw new GatewayError("failed", `below ${connections} connections: ${low}; the remedies are above`);
  if (strict && unknown !== "") throw new GatewayError("failed", `unknown ceilings: ${unknown}; the reasons are above`);
}
