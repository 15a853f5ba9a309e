/**
 * Flags over environment over file over defaults, checked against an option table; every fault is reported at once.
 * Runs in the command line only; workers and hub get the finished, plain configuration.
 */
import { GatewayError } from "../errors.js";
import type { ConfigFile } from "./config-file.js";
import { type Environment, envName, given } from "./environment.js";
import { didYouMean } from "./nearest.js";
import { type ConfigOf, flagName, type Option, type OptionTable } from "./table.js";

export { readConfigFile } from "./config-file.js";

export type Source = "flag" | "env" | "file" | "default";

export interface Resolved<T extends OptionTable> {
  readonly config: ConfigOf<T>;
  readonly sources: Readonly<Record<keyof T, Source>>;
}

interface Given {
  /** Whose options these are; their variables carry its name (environment.ts). */
  readonly command?: string;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Environment;
  readonly file?: ConfigFile;
}

/** Resolves a table. Throws one `config` error that lists every fault, one a line. */
export function resolve<T extends OptionTable>(table: T, from: Given): Resolved<T> {
  const faults: string[] = [];
  const config: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const [key, entry] of from.file?.entries ?? []) {
    if (Object.hasOwn(table, key)) continue;
    faults.push(`${from.file!.path}:${entry.at} ${key}: no such option${didYouMean(key, Object.keys(table))}`);
  }
  for (const [key, option] of Object.entries(table)) {
    const { value, source, where } = pick(key, option, from);
    sources[key] = source;
    if (source === "default") {
      config[key] = option.default;
      continue;
    }
    const parsed = option.schema.safeParse(value);
    if (parsed.success) config[key] = parsed.data;
    else faults.push(`${where}: ${parsed.error.issues[0]!.message}, got ${JSON.stringify(value)}`);
  }
  if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
  return { config: Object.freeze(config) as ConfigOf<T>, sources: sources as Record<keyof T, Source> };
}

function pick(key: string, option: Option, from: Given): { value: unknown; source: Source; where: string } {
  if (from.flags[key] !== undefined) return { value: from.flags[key], source: "flag", where: `--${flagName(key)}` };
  const name = envName(key, from.command, option.env);
  const value = given(from.env, name);
  if (value !== undefined) return { value, source: "env", where: name };
  const fromFile = from.file?.entries.get(key);
  if (fromFile) return { value: fromFile.value, source: "file", where: `${from.file!.path}:${fromFile.at} ${key}` };
  const derived = option.derive?.(from.env);
  if (derived) return { ...derived, source: "env" };
  return { value: undefined, source: "default", where: key };
}
