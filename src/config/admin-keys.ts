/**
 * The file of `--admin-keys-file`: who may do what on the admin port, a key a line. Only the SHA-256 of a key leaves this
 * file's reader, and no fault quotes a word of a line. A name is shorter than any key, so that a key in its place is refused
 * and never logged. Runs in the supervisor.
 *
 *     # name       scopes                 key, or sha256: and its digest
 *     prices       publish                6f1ed002ab5595859014ebf0951522d9…
 *     prometheus   read                   sha256:2c26b46b68ffc68ff99b453c1d304134…
 */
import { createHash } from "node:crypto";
import { GatewayError } from "../errors.js";
import { didYouMean } from "./nearest.js";
import { publicKeys, readSecretFile, type SecretFile, unusable } from "./secret-file.js";

/** What a key may be for: to publish; to look at everything; to replace workers. */
export const SCOPES = ["publish", "read", "operate"] as const;
export type Scope = (typeof SCOPES)[number];

/** A key as the gateway holds it. */
export interface AdminKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the key, hexadecimal. */
  readonly digest: string;
}

export const MIN_KEY_CHARACTERS = 32;
const MAX_KEY_CHARACTERS = 512;
/** Each is compared with each request: 256 take some 50 µs. */
const MAX_KEYS = 256;
/** `b64token` of RFC 6750: what may follow `Bearer`. */
export const KEY = /^[A-Za-z0-9._~+/-]+=*$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,30}$/;
const DIGEST = /^sha256:([0-9a-f]{64})$/i;
const MAKE_ONE = "openssl rand -hex 32 makes one";

export const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");

/** Throws `config` with every fault of the file, each with its line. */
export function readAdminKeys(path: string): readonly AdminKey[] {
  const file: SecretFile = { option: "--admin-keys-file", path };
  const { text, isPublic } = readSecretFile(file);
  const { keys, faults, holdsKeys } = parseAdminKeys(text);
  if (faults.length > 0)
    throw new GatewayError("config", faults.map((fault) => unusable(file, fault).detail).join("\n"));
  if (isPublic && holdsKeys) throw publicKeys(file);
  return keys;
}

interface Parsed {
  readonly keys: readonly AdminKey[];
  readonly faults: readonly string[];
  /** At least one line has a key itself, and not its digest. */
  readonly holdsKeys: boolean;
}

export function parseAdminKeys(text: string): Parsed {
  const keys: AdminKey[] = [];
  const faults: string[] = [];
  const seen = new Map<string, number>();
  let holdsKeys = false;
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n/)
    .entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const number = index + 1;
    const parsed = parseLine(line);
    const fault = typeof parsed === "string" ? parsed : repeated(parsed, seen, number);
    if (fault !== undefined) faults.push(`line ${number}: ${fault}`);
    else if (typeof parsed !== "string") keys.push(parsed);
    holdsKeys ||= !/\ssha256:\S+\s*$/i.test(line);
  }
  if (keys.length === 0 && faults.length === 0)
    faults.push("it holds no key; a line is NAME SCOPES KEY, such as: prometheus read KEY");
  if (keys.length > MAX_KEYS) faults.push(`it holds ${keys.length} keys; ${MAX_KEYS} are the most`);
  return { keys, faults, holdsKeys };
}

/** A key, or what is wrong with its line. */
function parseLine(line: string): AdminKey | string {
  const words = line.trim().split(/\s+/);
  const [name = "", list = "", secret = ""] = words;
  if (words.length !== 3)
    return `must be three words, NAME SCOPES KEY, with scopes joined by commas; it has ${words.length}`;
  if (!NAME.test(name)) return "the first word must be a name: 1–31 letters, digits, dots, dashes and underscores";
  const scopes = parseScopes(list);
  if (typeof scopes === "string") return scopes;
  const digest = parseSecret(secret);
  return digest.startsWith("the ") ? digest : { name, scopes, digest };
}

function parseScopes(list: string): readonly Scope[] | string {
  const words = list.split(",");
  const isScope = (word: string): word is Scope => SCOPES.some((scope) => scope === word);
  const strange = words.find((word) => !isScope(word));
  if (strange !== undefined)
    return `the second word must be scopes joined by commas, of ${SCOPES.join(", ")}${didYouMean(strange, SCOPES)}`;
  if (new Set(words).size !== words.length) return "the second word names a scope twice";
  return words.filter(isScope);
}

/** The digest, or a sentence that begins with "the". */
function parseSecret(secret: string): string {
  if (/^sha256:/i.test(secret)) {
    const digest = DIGEST.exec(secret)?.[1];
    return digest?.toLowerCase() ?? "the digest after sha256: must be 64 hexadecimal digits";
  }
  if (secret.length < MIN_KEY_CHARACTERS)
    return `the key is too short: ${secret.length} of at least ${MIN_KEY_CHARACTERS} characters; ${MAKE_ONE}`;
  if (secret.length > MAX_KEY_CHARACTERS || !KEY.test(secret))
    return `the key must be at most ${MAX_KEY_CHARACTERS} letters, digits and ._~+/- with = at the end; ${MAKE_ONE}`;
  return digestOf(secret);
}

/** The same name, or the same key, on an earlier line. */
function repeated({ name, digest }: AdminKey, seen: Map<string, number>, line: number): string | undefined {
  const marks = { name: `name ${name}`, key: `key ${digest}` };
  const [named, keyed] = [seen.get(marks.name), seen.get(marks.key)];
  seen.set(marks.name, named ?? line);
  seen.set(marks.key, keyed ?? line);
  if (named !== undefined) return `the same name as line ${named}`;
  return keyed === undefined ? undefined : `the same key as line ${keyed}`;
}
