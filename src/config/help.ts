/**
 * Renders option tables: commander options, the effective configuration, and the README's rows.
 * Nothing here knows a particular option; drift between help, README and table is therefore impossible but for the
 * committed README, which test/rules/drift.test.ts compares.
 */
import { type Command, Option as CommanderOption } from "commander";
import { envName } from "./environment.js";
import type { Resolved } from "./resolve.js";
import { flagName, type Option, type OptionTable } from "./table.js";

const isSwitch = (option: Option): boolean => typeof option.default === "boolean";
const shown = (value: unknown): string => (value === "" ? "not set" : String(value));

/** An option of a table: knows its variable. */
class TableOption extends CommanderOption {
  constructor(
    syntax: string,
    explanation: string,
    readonly variable: string,
  ) {
    super(syntax, explanation);
  }
}

/** The variables that a command reads. */
export function variablesOf(command: Command): string[] {
  return command.options.flatMap((option) => (option instanceof TableOption ? [option.variable] : []));
}

/** Adds one commander option per row; values stay raw text, so that `resolve` can report all faults together. */
export function addOptions(command: Command, table: OptionTable): Command {
  for (const [key, option] of Object.entries(table)) {
    const name = flagName(key);
    const syntax = isSwitch(option) ? `--${name} [true|false]` : `--${name} <${option.unit || "choice"}>`;
    const variable = envName(key, command.name(), option.env);
    const row = `${option.explanation} (${option.range}; default ${shown(option.default)}; env ${variable})`;
    command.addOption(new TableOption(syntax, row, variable));
  }
  return command;
}

/** The effective configuration as YAML that `--config` reads back, each line with its source. */
export function renderConfig<T extends OptionTable>(resolved: Resolved<T>): string {
  const config: Readonly<Record<string, unknown>> = resolved.config;
  const sources: Readonly<Record<string, string>> = resolved.sources;
  return Object.entries(config)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)} # ${sources[key] ?? ""}`)
    .join("\n");
}

/** The table as Markdown rows for the README. */
export function renderMarkdown(table: OptionTable, command: string): string {
  const rows = Object.entries(table).map(
    ([key, o]) =>
      `| \`--${flagName(key)}\` | \`${envName(key, command, o.env)}\` | ${shown(o.default)} | ${o.range.replaceAll("|", "\\|")} | ${o.unit} | ${o.explanation} |`,
  );
  return ["| flag | environment | default | range | unit | what it does |", "|---|---|---|---|---|---|", ...rows].join(
    "\n",
  );
}
