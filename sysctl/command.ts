/**
 * The commands `megagate tune` and `megagate untune`: their option tables, and from options to a plan, an act and a report.
 * src/cli.ts imports this file only when one of them is asked for. A setting that matters and could not be set ends the
 * command with the error `failed` after the report is printed; cli.ts turns errors into exit statuses, nobody else.
 */
import type { Command } from "commander";
import { z } from "zod";
import { addOptions } from "../src/config/help.js";
import { resolve } from "../src/config/resolve.js";
import { type ConfigOf, flag, type Option, text, whole } from "../src/config/table.js";
import { GatewayError } from "../src/errors.js";
import { type Host, openHost } from "./host.js";
import type { Plan } from "./plan.js";
import { renderSysctlFile } from "./render.js";
import { type ReportStyle, reportTune, reportUntune } from "./report.js";
import { tune, untune } from "./tune.js";

/** What the command line lends: its environment, where text goes, and in tests a fixture instead of the host. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly host?: Host;
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

const state = text({
  default: "/var/lib/megagate/tune-rollback.json",
  unit: "path",
  range: "a path",
  explanation: "File that holds the values as they were, for untune.",
});

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
  state,
  print: flag({ default: false, explanation: "Print a sysctl.d file for this host and change nothing." }),
};

export const UNTUNE_OPTIONS = { state };

/** Registers both commands. Their actions throw GatewayError; they neither exit nor set the exit status. */
export function addTuneCommands(program: Command, surroundings: Surroundings): void {
  addOptions(
    program.command("tune").description("set the kernel for the wanted number of connections, keeping the old values"),
    TUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runTune(flags, surroundings));
  addOptions(
    program.command("untune").description("put the kernel's values back as they were before tune"),
    UNTUNE_OPTIONS,
  ).action((flags: Record<string, unknown>) => runUntune(flags, surroundings));
}

function runTune(flags: Readonly<Record<string, unknown>>, { env, stdout, host = openHost() }: Surroundings): void {
  const { config } = resolve(TUNE_OPTIONS, { flags, env });
  const plan = planOf(config, host);
  if (config.print) {
    const readText = (key: string): string | undefined => {
      const reading = host.read(key);
      return "text" in reading ? reading.text : undefined;
    };
    stdout.write(renderSysctlFile(plan, readText));
    return;
  }
  const rows = tune(host, plan, config.state);
  stdout.write(reportTune(rows, plan, styleOf(config.state, env, stdout)));
  const failed = rows.filter((row) => row.failed).map((row) => row.setting.key);
  if (failed.length > 0) {
    throw new GatewayError("failed", `not as wanted: ${failed.join(", ")}; the reasons and remedies are above`);
  }
}

function runUntune(flags: Readonly<Record<string, unknown>>, { env, stdout, host = openHost() }: Surroundings): void {
  const { config } = resolve(UNTUNE_OPTIONS, { flags, env });
  const result = untune(host, config.state);
  stdout.write(reportUntune(result, styleOf(config.state, env, stdout)));
  const left = result.kind === "restored" ? result.rows.filter((row) => row.status === "refused") : [];
  if (left.length > 0) {
    throw new GatewayError("failed", `not restored: ${left.map((row) => row.key).join(", ")}; the reasons are above`);
  }
}

function planOf(config: ConfigOf<typeof TUNE_OPTIONS>, host: Host): Plan {
  const { connections, ports, coLocated } = config;
  return { connections, listenPorts: ports, coLocated, ...host.facts() };
}

function styleOf(statePath: string, env: NodeJS.ProcessEnv, stdout: Surroundings["stdout"]): ReportStyle {
  // no-color.org: any value that is not empty switches colour off.
  return { statePath, colour: stdout.isTTY === true && !env.NO_COLOR };
}
