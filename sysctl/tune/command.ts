/**
 * The commands `megagate tune` and `megagate untune`: their option tables, and from options to a plan, one act and a
 * report. src/cli.ts imports this file only when one of them is asked for. A setting that matters and could not be set
 * ends the command with the error `failed` after the report is printed; cli.ts turns errors into exit statuses, nobody else.
 */
import type { Command } from "commander";
import { z } from "zod";
import { addOptions } from "../../src/config/help.js";
import { resolve, type Source } from "../../src/config/resolve.js";
import { type ConfigOf, choice, flag, type Option, text, whole } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import { survey } from "../doctor/survey.js";
import { isTracking } from "../doctor/tracking.js";
import { type Host, openHost } from "../kernel/proc-sys.js";
import { placeOf, RECORDED_OPTIONS, within } from "../kernel/recorded.js";
import { type Asked, type Plan, planOf } from "../plan.js";
import { DIALECTS, type Dialect, renderProfile } from "../remedies/remedies.js";
import { type Place as FilePlace, headOf, needsOf } from "../remedies/render.js";
import { contradictions } from "./contradictions.js";
import { type Etc, openEtc } from "./etc.js";
import { leftovers } from "./leftovers.js";
import { type Question, type ReportStyle, reportTune, reportUntune } from "./report.js";
import { diff, type Outcome, readerOf, tune, verify } from "./tune.js";
import { untune } from "./untune.js";

/** What the command line lends: its environment, where text goes, and in tests a fixture instead of this host. */
export interface TuneDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly root?: string;
  readonly host?: Host;
  readonly etc?: Etc;
  readonly tracks?: () => Promise<boolean | null>;
}

export function portList(row: { default: readonly number[]; explanation: string }): Option<readonly number[]> {
  const range = "1–65,535 each, separated by commas";
  const message = `must be port numbers (${range}), such as 8080,8081`;
  const port = z.number({ error: message }).int({ error: message }).min(1, { error: message });
  const schema = z.preprocess(
    (raw) => (typeof raw === "string" ? raw.split(",").map((word) => (/^\s*\d+\s*$/.test(word) ? +word : word)) : raw),
    z.array(port.max(65_535, { error: message }), { error: message }).min(1, { error: message }),
  );
  return { schema, default: row.default, unit: "ports", range, explanation: row.explanation };
}

const state = {
  ...text({
    default: "/var/lib/megagate/tune-rollback.json",
    unit: "path",
    range: "a path",
    explanation: "File that holds the values as they were, for untune.",
  }),
  // What tune wrote, untune must find.
  env: "MEGAGATE_TUNE_STATE",
};

export const TUNE_OPTIONS = {
  connections: whole({
    default: 1_000_000,
    min: 1,
    max: 50_000_000,
    unit: "connections",
    explanation: "WebSocket connections that the kernel must carry.",
  }),
  ports: portList({
    default: [8080, 8081],
    explanation: "Ports that the gateway listens on; outgoing connections are kept off them.",
  }),
  coLocated: flag({
    default: true,
    explanation: "The client ends are on this host too, as when the load generator runs beside the gateway.",
  }),
  nofile: whole({
    default: 0,
    also: [0],
    min: 256,
    // The kernel's own ceiling of fs.nr_open on 64 bits.
    max: 2_147_483_584,
    unit: "descriptors",
    explanation:
      "Descriptor limit of one process that --persist and --format give; 0 takes what the plan needs, and never less than it is.",
  }),
  allowLowering: flag({
    default: false,
    explanation:
      "Also set what would lower a higher value (net.ipv4.tcp_notsent_lowat, net.ipv4.tcp_wmem): bounds what slow readers cost.",
  }),
  diff: flag({ default: false, explanation: "Show what would be set, and change nothing; needs no root." }),
  apply: flag({ default: false, explanation: "Set what is too low. This is what tune does when no act is named." }),
  verify: flag({ default: false, explanation: "Change nothing; exit with 1 when anything is not as wanted." }),
  rollback: flag({ default: false, explanation: "Put everything back as it was, as megagate untune does." }),
  persist: flag({
    default: false,
    explanation: "Apply, and write files below /etc (sysctl.d, limits.d, a systemd drop-in) that keep it over a boot.",
  }),
  format: choice({
    default: "none",
    choices: ["none", ...DIALECTS],
    explanation: "Print the whole profile in this form, and change nothing.",
  }),
  state,
  ...RECORDED_OPTIONS,
};

export const UNTUNE_OPTIONS = { state, root: RECORDED_OPTIONS.root };

/** Registers both commands. Their actions throw GatewayError; they neither exit nor set the exit status. */
export function addTuneCommands(program: Command, surroundings: TuneDeps): void {
  addOptions(
    program.command("tune").description("set the kernel for the wanted number of connections, keeping the old values"),
    TUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runTune(flags, surroundings));
  addOptions(
    program.command("untune").description("put the kernel's values back as they were before tune"),
    UNTUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runUntune(flags, surroundings));
}

type TuneConfig = ConfigOf<typeof TUNE_OPTIONS>;

const ACTS = ["diff", "apply", "verify", "rollback", "persist"] as const;
type Act = (typeof ACTS)[number] | Dialect;

async function runTune(flags: Readonly<Record<string, unknown>>, surroundings: TuneDeps): Promise<void> {
  const { env, stdout } = surroundings;
  const resolved = resolve(TUNE_OPTIONS, { command: "tune", flags, env });
  const { config } = resolved;
  const act = actOf(config);
  const there = placed(resolved, surroundings);
  if (act === "rollback") {
    goBack(there, surroundings);
    return;
  }
  const { host, etc, statePath } = there;
  const facts = survey(there.root, await there.tracks());
  const plan = planOf(facts, askedOf(config));
  if (act === "docker" || act === "kubernetes") {
    stdout.write(profile(act, plan, { kind: "container" }));
    return;
  }
  refuseContradictions(plan, host, config.allowLowering);
  if (act === "sysctl" || act === "systemd") {
    stdout.write(profile(act, plan, { kind: "thisHost", read: readerOf(host), allowLowering: config.allowLowering }));
    return;
  }
  const wishes = { statePath, allowLowering: config.allowLowering };
  const question = act === "persist" ? "apply" : act;
  const outcome = {
    apply: () => tune(host, plan, wishes),
    persist: () => tune(host, plan, wishes, etc),
    diff: () => diff(host, plan, wishes),
    verify: () => verify(host, plan, wishes, etc),
  }[act]();
  stdout.write(reportTune(question, outcome, plan, leftovers(etc, host, plan), styleOf(statePath, env, stdout)));
  complain(question, outcome);
}

function runUntune(flags: Readonly<Record<string, unknown>>, surroundings: TuneDeps): void {
  const resolved = resolve(UNTUNE_OPTIONS, { command: "untune", flags, env: surroundings.env });
  goBack(placed(resolved, surroundings), surroundings);
}

interface Wanted {
  readonly root: string;
  readonly state: string;
  readonly tracked?: "probe" | "yes" | "no";
}

/** Where the act takes place: this host, or a recorded one with all of its files, the rollback file too. */
function placed({ config, sources }: { config: Wanted; sources: { state: Source } }, surroundings: TuneDeps) {
  const { root, state: path, tracked = "probe" } = config;
  const { tracks = isTracking } = surroundings;
  const place = placeOf({ root, tracked }, { tracks, ...(surroundings.root && { root: surroundings.root }) });
  const isRecorded = root !== "/";
  return {
    ...place,
    host: (isRecorded ? undefined : surroundings.host) ?? openHost(place.root),
    etc: (isRecorded ? undefined : surroundings.etc) ?? openEtc(place.root),
    statePath: isRecorded && sources.state === "default" ? within(place, path) : path,
  };
}

type There = ReturnType<typeof placed>;

/** The one act that was asked for; apply where none was. */
function actOf(config: TuneConfig): Act {
  const acts: Act[] = ACTS.filter((act) => config[act]);
  if (config.format !== "none") acts.push(config.format);
  if (acts.length < 2) return acts[0] ?? "apply";
  const named = acts.map((act) => (act === config.format ? `--format ${act}` : `--${act}`));
  throw new GatewayError(
    "usage",
    `${named.join(" and ")} are ${named.length} acts, and tune does one at a time: name one. --persist applies already.`,
  );
}

const profile = (dialect: Dialect, plan: Plan, place: FilePlace): string =>
  renderProfile(dialect, needsOf(plan, place), headOf(plan, place));

function refuseContradictions(plan: Plan, host: Host, allowLowering: boolean): void {
  const found = contradictions(plan, host, allowLowering);
  if (found.length > 0) throw new GatewayError("refused", `${found.join("\n")}\nNothing was changed`);
}

function complain(question: Question, { rows, files }: Outcome): void {
  // A difference is what --diff is for; only the others promise that all is as wanted.
  if (question === "diff") return;
  const failed = [
    ...rows.filter((row) => row.failed).map((row) => row.setting.key),
    ...files.filter((file) => file.status === "refused").map((file) => file.path),
  ];
  if (failed.length === 0) return;
  throw new GatewayError("failed", `not as wanted: ${failed.join(", ")}; the reasons and remedies are above`);
}

function goBack({ host, etc, statePath }: There, { env, stdout }: TuneDeps): void {
  const result = untune(host, etc, statePath);
  stdout.write(reportUntune(result, styleOf(statePath, env, stdout)));
  if (result.kind !== "restored") return;
  const left = [
    ...result.rows.filter((row) => row.status === "refused").map((row) => row.key),
    ...result.files.filter((file) => file.status === "refused").map((file) => file.path),
  ];
  if (left.length === 0) return;
  throw new GatewayError("failed", `not restored: ${left.join(", ")}; the reasons are above`);
}

function askedOf({ connections, ports, coLocated, nofile }: TuneConfig): Asked {
  const wanted = nofile === 0 ? {} : { nofileWanted: nofile };
  return { connections, listenPorts: ports, coLocated, ...wanted };
}

function styleOf(statePath: string, env: NodeJS.ProcessEnv, stdout: TuneDeps["stdout"]): ReportStyle {
  // no-color.org: any value that is not empty switches colour off.
  return { statePath, colour: stdout.isTTY === true && !env.NO_COLOR };
}
