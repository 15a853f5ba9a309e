/**
 * The commands `megagate tune` and `megagate untune`: their option tables, and the way from options to a plan, one action and
 * a report. src/commands/program.ts imports this file only for these commands. If a setting that matters could not be set, the
 * command throws the error `failed` after the report is printed; only cli.ts turns errors into exit statuses.
 */
import type { Command } from "commander";
import { z } from "zod";
import { addOptions } from "../../src/config/help.js";
import { resolve, type Source } from "../../src/config/resolve.js";
import { type ConfigOf, choice, flag, type Option, text, whole } from "../../src/config/table.js";
import { GatewayError } from "../../src/errors.js";
import { survey } from "../doctor/survey.js";
import { isTracking } from "../doctor/tracking.js";
import { openProcSys, type ProcSys } from "../kernel/proc-sys.js";
import { chooseHost, RECORDED_OPTIONS, within } from "../kernel/recorded.js";
import { type KernelPlan, type KernelPlanRequest, kernelPlan } from "../plan.js";
import { DIALECTS, type Dialect, renderProfile } from "../remedies/remedies.js";
import { headOf, needsOf, type RenderTarget } from "../remedies/render.js";
import { contradictions } from "./contradictions.js";
import { type Etc, openEtc } from "./etc.js";
import { leftovers } from "./leftovers.js";
import { type ReportStyle, reportTune, reportUntune, type TuneMode } from "./report.js";
import { diff, type Outcome, readerOf, tune, verify } from "./tune.js";
import { untune } from "./untune.js";

/** The environment and the output of the process; tests replace this host by a fixture. */
export interface TuneDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly root?: string;
  readonly procSys?: ProcSys;
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
  // One variable for both commands: untune must find what tune wrote.
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
    explanation: "The client ends are on this host too, as when the load generator runs next to the gateway.",
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
  apply: flag({
    default: false,
    explanation: "Set what is too low. This is what tune does when no other action is named.",
  }),
  verify: flag({ default: false, explanation: "Change nothing; exit with 1 when anything is not as wanted." }),
  rollback: flag({ default: false, explanation: "Restore everything as it was, as megagate untune does." }),
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
export function addTuneCommands(program: Command, deps: TuneDeps): void {
  addOptions(
    program.command("tune").description("set the kernel for the wanted number of connections, keeping the old values"),
    TUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runTune(flags, deps));
  addOptions(
    program.command("untune").description("restore the kernel values as they were before tune"),
    UNTUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runUntune(flags, deps));
}

type TuneConfig = ConfigOf<typeof TUNE_OPTIONS>;

const ACTIONS = ["diff", "apply", "verify", "rollback", "persist"] as const;
type Action = (typeof ACTIONS)[number] | Dialect;

async function runTune(flags: Readonly<Record<string, unknown>>, deps: TuneDeps): Promise<void> {
  const { env, stdout } = deps;
  const resolved = resolve(TUNE_OPTIONS, { command: "tune", flags, env });
  const { config } = resolved;
  const action = actionOf(config);
  const target = targetOf(resolved, deps);
  if (action === "rollback") {
    restore(target, deps);
    return;
  }
  const { procSys, etc, statePath } = target;
  const { allowLowering } = config;
  const plan = kernelPlan(survey(target.root, await target.tracks()), requestOf(config));
  if (action === "docker" || action === "kubernetes") {
    stdout.write(profile(action, plan, { type: "container" }));
    return;
  }
  refuseContradictions(plan, procSys, allowLowering);
  if (action === "sysctl" || action === "systemd") {
    stdout.write(profile(action, plan, { type: "thisHost", read: readerOf(procSys), allowLowering }));
    return;
  }
  const options = { statePath, allowLowering };
  const mode = action === "persist" ? "apply" : action;
  const outcome = {
    apply: () => tune(procSys, plan, options),
    persist: () => tune(procSys, plan, { ...options, persistTo: etc }),
    diff: () => diff(procSys, plan, options),
    verify: () => verify(procSys, plan, { ...options, etc }),
  }[action]();
  const warnings = leftovers(etc, procSys, plan);
  stdout.write(reportTune(outcome, { mode, plan, warnings, style: styleOf(statePath, env, stdout) }));
  failWhereNotAsWanted(mode, outcome);
}

function runUntune(flags: Readonly<Record<string, unknown>>, deps: TuneDeps): void {
  const resolved = resolve(UNTUNE_OPTIONS, { command: "untune", flags, env: deps.env });
  restore(targetOf(resolved, deps), deps);
}

interface TargetOptions {
  readonly root: string;
  readonly state: string;
  readonly tracked?: "probe" | "yes" | "no";
}

/** What tune works on: this host, or a recorded one with all of its files, the rollback file too. */
function targetOf({ config, sources }: { config: TargetOptions; sources: { state: Source } }, deps: TuneDeps) {
  const { root, state: path, tracked = "probe" } = config;
  const { tracks = isTracking } = deps;
  const host = chooseHost({ root, tracked }, { tracks, ...(deps.root && { root: deps.root }) });
  const isRecorded = root !== "/";
  return {
    ...host,
    procSys: (isRecorded ? undefined : deps.procSys) ?? openProcSys(host.root),
    etc: (isRecorded ? undefined : deps.etc) ?? openEtc(host.root),
    statePath: isRecorded && sources.state === "default" ? within(host, path) : path,
  };
}

type TuneTarget = ReturnType<typeof targetOf>;

/** The one action that the options name; apply where they name none. */
function actionOf(config: TuneConfig): Action {
  const actions: Action[] = ACTIONS.filter((action) => config[action]);
  if (config.format !== "none") actions.push(config.format);
  if (actions.length < 2) return actions[0] ?? "apply";
  const named = actions.map((action) => (action === config.format ? `--format ${action}` : `--${action}`));
  throw new GatewayError(
    "usage",
    `${named.join(" and ")} are ${named.length} actions, and tune does one at a time: name one. --persist applies already.`,
  );
}

const profile = (dialect: Dialect, plan: KernelPlan, target: RenderTarget): string =>
  renderProfile(dialect, needsOf(plan, target), headOf(plan, target));

function refuseContradictions(plan: KernelPlan, procSys: ProcSys, allowLowering: boolean): void {
  const found = contradictions(plan, procSys, allowLowering);
  if (found.length > 0) throw new GatewayError("refused", `${found.join("\n")}\nNothing was changed`);
}

function failWhereNotAsWanted(mode: TuneMode, { rows, files }: Outcome): void {
  // --diff exists to show differences; only the others promise that all is as wanted.
  if (mode === "diff") return;
  const failed = [
    ...rows.filter((row) => row.failed).map((row) => row.setting.key),
    ...files.filter((file) => file.status === "refused").map((file) => file.path),
  ];
  if (failed.length === 0) return;
  throw new GatewayError("failed", `not as wanted: ${failed.join(", ")}; the reasons and remedies are above`);
}

function restore({ procSys, etc, statePath }: TuneTarget, { env, stdout }: TuneDeps): void {
  const result = untune(procSys, etc, statePath);
  stdout.write(reportUntune(result, styleOf(statePath, env, stdout)));
  if (result.type !== "restored") return;
  const left = [
    ...result.rows.filter((row) => row.status === "refused").map((row) => row.key),
    ...result.files.filter((file) => file.status === "refused").map((file) => file.path),
  ];
  if (left.length === 0) return;
  throw new GatewayError("failed", `not restored: ${left.join(", ")}; the reasons are above`);
}

function requestOf({ connections, ports, coLocated, nofile }: TuneConfig): KernelPlanRequest {
  const wanted = nofile === 0 ? {} : { nofileWanted: nofile };
  return { connections, listenPorts: ports, coLocated, ...wanted };
}

function styleOf(statePath: string, env: NodeJS.ProcessEnv, stdout: TuneDeps["stdout"]): ReportStyle {
  // no-color.org: any value that is not empty switches colour off.
  return { statePath, colour: stdout.isTTY === true && !env.NO_COLOR };
}
