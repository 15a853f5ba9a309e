/**
 * The YAML file of `--config`: a flat map of option names to single values, each with its place. Whatever else a YAML file
 * can hold (lists, maps, names for other parts, tags) is refused by line and column, and nothing in it can make reading
 * it slow or large. Runs in the command line only.
 */
import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { GatewayError } from "../errors.js";
import { readBounded } from "./bounded-file.js";

export interface ConfigFile {
  readonly path: string;
  /** Key → value and where it stands, as "line:column". */
  readonly entries: ReadonlyMap<string, { readonly value: unknown; readonly at: string }>;
}

/** A file with every option has 4 KB. */
const MAX_BYTES = 256 * 1024;

/** Reads the file. Throws `config` naming file, line and column; all faults are reported at once. */
export function readConfigFile(path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parse(path, readText(path), lines);
  const entries = new Map<string, { value: unknown; at: string }>();
  if (document.contents === null) return { path, entries };
  if (!isMap(document.contents)) {
    throw new GatewayError("config", `${path}: must be a map of option names to values, such as "port: 8080"`);
  }
  const faults: string[] = [];
  for (const pair of document.contents.items as readonly Pair<Node, Node | null>[]) {
    const { line, col } = lines.linePos(pair.key.range?.[0] ?? 0);
    const at = `${line}:${col}`;
    const key = isScalar(pair.key) ? String(pair.key.value) : "?";
    const value = isAlias(pair.value) ? pair.value.resolve(document) : pair.value;
    if (value === null || isScalar(value)) entries.set(key, { value: value === null ? null : value.value, at });
    else faults.push(`${path}:${at} ${key}: must be one value, not a list or a map`);
  }
  if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
  return { path, entries };
}

function parse(path: string, text: string, lines: LineCounter): Document {
  let document: Document;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  } catch (error) {
    throw new GatewayError("config", `${path}: cannot be read as YAML: ${inWords(error)}`);
  }
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken) throw new GatewayError("config", `${path}: ${inWords(broken)}`);
  return document;
}

/** The parser recurses for each level, and reports when it cannot go deeper. */
function inWords(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  return words.includes("call stack") ? "its lists or maps lie too deep in each other" : words;
}

function readText(path: string): string {
  const cannot = (why: string): GatewayError =>
    new GatewayError("config", `cannot read the configuration file ${path}: ${why}`);
  let bytes: Buffer | undefined;
  try {
    bytes = readBounded(path, MAX_BYTES);
  } catch (error) {
    throw cannot((error as Error).message);
  }
  if (!bytes) throw cannot(`it has more than ${MAX_BYTES} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw cannot("it is not UTF-8 text");
  }
}
