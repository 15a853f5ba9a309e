/**
 * The command `megagate doctor`: its option table, and from options to a survey, ceilings and a report. Changes nothing;
 * only --prove borrows one value (sysctl/prove/).
 * A known ceiling below the plan ends it with the error `failed` after the report is printed; src/cli.ts turns that into
 * the exit status, so that a pipeline or a start-up probe can depend on it.
 */
import type { Command } from "commander";
import { addOptions } from "../../src/config/help.js";
import { resolve } from "../../src/config/resolve.js";
import { type ConfigOf, choice, flag, text, whole } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import type { DoctorPlan } from "../kernel/facts.js";
import { placeOf, RECORDED_OPTIONS } from "../kernel/recorded.js";
import { leftover } from "../prove/trace.js";
import { portList } from "../tune/command.js";
import type { Ceiling, Verdict } from "./ceiling.js";
import { ceilingsOf } from "./ceilings.js";
import { doctorJson } from "./json.js";
import { record } from "./record.js";
import { reportDoctor } from "./report.js";
import { survey } from "./survey.js";
import { isTracking } from "./tracking.js";

/** What the command line lends: its environment, where text goes, and in tests a fixture tree instead of "/". */
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
      "Instead of the report, write what doctor and tune read of this host into this folder, for --root elsewhere; of the environment only what tells a pod or a container",
  }),
  strict: flag({ default: false, explanation: "A ceiling that could not be told fails too" }),
  prove: flag({
    default: false,
    explanation: "Instead of the survey, show the 26w wall and its cures in throw-away network namespaces; needs root",
  }),
  full: flag({
    default: false,
    explanation:
      "With --prove: at 262,144 connections instead of 5,000, which needs 4.2 GB of free memory and half a minute",
  }),
} as const;

type DoctorConfig = ConfigOf<typeof DOCTOR_OPTIONS>;

/** Registers the command. Its action throws GatewayError; it neither exits nor sets the exit status. */
export function addDoctorCommand(program: Command, surroundings: DoctorDeps): void {
  addOptions(
    program.command("doctor").description("say what will stop this machine first, at which count, and the remedy"),
    DOCTOR_OPTIONS,
  ).action((flags: Record<string, unknown>) => runDoctor(flags, surroundings));
}

async function runDoctor(flags: Readonly<Record<string, unknown>>, surroundings: DoctorDeps): Promise<void> {
  const { env, stdout, tracks = isTracking } = surroundings;
  const { config } = resolve(DOCTOR_OPTIONS, { command: "doctor", flags, env });
  if (config.full && !config.prove) throw new GatewayError("usage", "--full goes with --prove");
  if (config.prove) {
    await runProof(config, stdout);
    return;
  }
  const place = placeOf(config, { tracks, ...(surroundings.root && { root: surroundings.root }) });
  const { root } = place;
  if (config.record !== "") {
    stdout.write(await record(config.record, place));
    return;
  }
  const left = leftover(root);
  if (left !== undefined) process.stderr.write(`megagate: ${left}\n`);
  // Before the probes: their entries are gone soon, and are nobody's.
  const quiet = survey(root);
  const live = await place.tracks();
  const facts = { ...quiet, tracking: quiet.tracking && { ...quiet.tracking, live } };
  const plan = planOf(config);
  const ceilings = ceilingsOf(facts, plan);
  if (config.json) stdout.write(`${JSON.stringify(doctorJson(ceilings, facts, plan), null, 2)}\n`);
  // no-color.org: any value that is not empty switches colour off.
  else stdout.write(reportDoctor(ceilings, facts, plan, stdout.isTTY === true && !env.NO_COLOR));
  failWhereBelow(ceilings, config);
}

async function runProof({ full, json }: DoctorConfig, stdout: DoctorDeps["stdout"]): Promise<void> {
  const { prove } = await import("../prove/prove.js");
  // As JSON, stdout is the result's alone: the acts are shown beside it.
  const result = await prove({ full, stdout: json ? process.stderr : stdout });
  if (json) stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

const planOf = ({ connections, side, ports, sources, destinations }: DoctorConfig): DoctorPlan => ({
  connections,
  side,
  listenPorts: ports,
  sources,
  destinations,
  open: 0,
});

function failWhereBelow(ceilings: readonly Ceiling[], { connections, strict }: DoctorConfig): void {
  const counting = ceilings.filter(({ counts }) => counts);
  const named = (wanted: Verdict): string =>
    counting
      .filter(({ verdict }) => verdict === wanted)
      .map(({ limit }) => limit)
      .join(", ");
  const [low, unknown] = [named("low"), named("unknown")];
  if (low !== "") throw new GatewayError("failed", `below ${connections} connections: ${low}; the remedies are above`);
  if (strict && unknown !== "")
    throw new GatewayError("failed", `could not be told: ${unknown}; the reasons are above`);
}
