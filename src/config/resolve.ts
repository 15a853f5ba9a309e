/**
 * Flags over environment over file over defaults, checked against an option table; every fault is reported at once.
 * Pure but for `readConfigFile`. Runs in the command line only; workers and hub get the finished, plain configuration.
 */
import { readFileSync } from "node:fs";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { GatewayError } from "../errors.js";
import { type ConfigOf, envName, flagName, type OptionTable } from "./table.js";

export type Source = "flag" | "env" | "file" | "default";

export interface ConfigFile {
  readonly path: string;
  /** Key → value and where it stands, as "line:column". */
  readonly entries: ReadonlyMap<string, { value: unknown; at: string }>;
}

export interface Resolved<T extends OptionTable> {
  readonly config: ConfigOf<T>;
  readonly sources: Readonly<Record<keyof T, Source>>;
}

/** Reads a flat YAML file of option keys. Throws `config` naming file, line and column. */
export function readConfigFile(path: string): ConfigFile {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw new GatewayError("config", `cannot read the configuration file ${path}: ${(error as Error).message}`);
  }
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: true });
  const broken = document.errors[0];
  if (broken) throw new GatewayError("config", `${path}: ${broken.message}`);
  const entries = new Map<string, { value: unknown; at: string }>();
  if (document.contents === null) return { path, entries };
  if (!isMap(document.contents)) {
    throw new GatewayError("config", `${path}: must be a map of option names to values, such as "port: 8080"`);
  }
  for (const pair of document.contents.items) {
    const range = isScalar(pair.key) ? pair.key.range : undefined;
    const position = lines.linePos(range?.[0] ?? 0);
    const key = isScalar(pair.key) ? String(pair.key.value) : "?";
    const value = (document.toJS() as Record<string, unknown>)[key];
    entries.set(key, { value, at: `${position.line}:${position.col}` });
  }
  return { path, entries };
}

/** Resolves a table. Throws one `config` error that lists every fault, one a line. */
export function resolve<T extends OptionTable>(
  table: T,
  given: { flags: Readonly<Record<string, unknown>>; env: NodeJS.ProcessEnv; file?: ConfigFile },
): Resolved<T> {
  const faults: string[] = [];
  const config: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const [key, entry] of given.file?.entries ?? []) {
    if (!(key in table)) faults.push(`${given.file!.path}:${entry.at} ${key}: no such option`);
  }
  for (const [key, option] of Object.entries(table)) {
    const { value, source, where } = pick(key, given);
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

function pick(
  key: string,
  given: { flags: Readonly<Record<string, unknown>>; env: NodeJS.ProcessEnv; file?: ConfigFile },
): { value: unknown; source: Source; where: string } {
  if (given.flags[key] !== undefined) return { value: given.flags[key], source: "flag", where: `--${flagName(key)}` };
  const fromEnv = given.env[envName(key)];
  if (fromEnv !== undefined) return { value: fromEnv, source: "env", where: envName(key) };
  const fromFile = given.file?.entries.get(key);
  if (fromFile) return { value: fromFile.value, source: "file", where: `${given.file!.path}:${fromFile.at} ${key}` };
  return { value: undefined, source: "default", where: key };
}
