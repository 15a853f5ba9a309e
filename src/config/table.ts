/**
 * What an option table is: the row type, the kinds of value, and how a table becomes a typed configuration.
 * `serve` and `load` each own one table; flags, environment names, file keys, help, README rows and types derive from it.
 * Runs in the supervisor and the command line only (zod stays out of workers: 25 MB and 60 ms each, measured).
 */
import { z } from "zod";
import type { Environment } from "./environment.js";
import { didYouMean } from "./nearest.js";

export { envName } from "./environment.js";

export interface Option<T = unknown> {
  readonly schema: z.ZodType<T>;
  readonly default: T;
  /** Shown in help and README: "seconds", "bytes", "path", … */
  readonly unit: string;
  /** The allowed values in words: "1–65,535". */
  readonly range: string;
  readonly explanation: string;
  /** Its variable, where that means the same to every command; else environment.ts makes the name. */
  readonly env?: string;
  /** Where the value comes from when it was not given: a gateway's variables, for commands that look for it (gateway-address.ts). */
  readonly derive?: ((env: Environment) => Derived | undefined) | undefined;
}

/** A value, and which name it is from. */
export interface Derived {
  readonly value: string;
  readonly where: string;
}

export type OptionTable = Readonly<Record<string, Option>>;
export type ConfigOf<T extends OptionTable> = { readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never };

const grouped = (n: number): string => n.toLocaleString("en-US");

/** A whole number within [min, max], both included; `also` names lone values outside that range. */
export function whole(row: {
  default: number;
  min: number;
  max: number;
  also?: readonly number[];
  unit: string;
  explanation: string;
}): Option<number> {
  const also = row.also ?? [];
  const range = [...also.map(grouped), `${grouped(row.min)}–${grouped(row.max)}`].join(", ");
  const schema = z.preprocess(
    (raw) => (typeof raw === "string" ? (parseWhole(raw) ?? raw) : raw),
    z
      .number({ error: `must be a whole number (${range} ${row.unit})` })
      .refine((n) => Number.isInteger(n) && (also.includes(n) || (n >= row.min && n <= row.max)), {
        error: `must be a whole number in ${range} (${row.unit})`,
      }),
  );
  return { schema, default: row.default, unit: row.unit, range, explanation: row.explanation };
}

/** Groups of three, or none: "1,5" is not fifteen. Underscores may stand between any digits, as in code. */
const WHOLE = /^-?(?:\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)$/;

/** "1000", "1_000" and "1,000" → 1000; undefined for anything else. */
export function parseWhole(text: string): number | undefined {
  // "-0" is 0.
  return WHOLE.test(text) ? Number(text.replace(/[_,]/g, "")) + 0 : undefined;
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** "1GB" → 1e9, "16KiB" → 16384, "512" and "1,000" as they are; undefined when it is no size, such as half a byte. */
export function parseBytes(text: string): number | undefined {
  const plain = parseWhole(text.trim());
  if (plain !== undefined) return plain;
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?)b?$/i.exec(text.trim());
  const factor = match && BYTE_UNITS[match[2]!.toLowerCase()];
  const isHalf = match?.[2] === "" && match[1]!.includes(".");
  return match && factor && !isHalf ? Math.round(Number(match[1]) * factor) : undefined;
}

/** A size in bytes; text may carry KB, MB, GB, KiB, MiB, GiB. `also` names lone values outside the range. */
export function bytes(row: {
  default: number;
  min: number;
  max: number;
  also?: readonly number[];
  explanation: string;
}): Option<number> {
  const also = row.also ?? [];
  const range = [...also.map(grouped), `${grouped(row.min)}–${grouped(row.max)}`].join(", ");
  const schema = z.preprocess(
    (raw) => (typeof raw === "string" ? (parseBytes(raw) ?? raw) : raw),
    z
      .number({ error: `must be a size in bytes (${range}; 16KiB or 1GB are understood)` })
      .refine((n) => Number.isInteger(n) && (also.includes(n) || (n >= row.min && n <= row.max)), {
        error: `must be ${range} bytes`,
      }),
  );
  return { schema, default: row.default, unit: "bytes", range, explanation: row.explanation };
}

/** Free text, optionally held to a pattern that `range` describes. */
export function text(row: {
  default: string;
  unit: string;
  range: string;
  /** A pattern, or a function that decides. */
  pattern?: Pick<RegExp, "test">;
  /** The one form of a value that may be written in several; it gets what `pattern` accepts. */
  canonical?: (text: string) => string;
  explanation: string;
}): Option<string> {
  const schema = z
    .string({ error: `must be text (${row.range})` })
    .refine((s) => s === row.default || !row.pattern || row.pattern.test(s), { error: `must be ${row.range}` })
    .transform((s) => row.canonical?.(s) ?? s);
  return { schema, default: row.default, unit: row.unit, range: row.range, explanation: row.explanation };
}

/** An address that `URL` can read, of one of these schemes, without user, query or fragment. */
export function url(row: {
  default: string;
  schemes: readonly string[];
  range: string;
  explanation: string;
}): Option<string> {
  const isGood = (text: string): boolean => {
    if (/\s/.test(text) || !URL.canParse(text)) return false;
    const { protocol, hostname, username, search, hash } = new URL(text);
    return row.schemes.includes(protocol) && hostname !== "" && username === "" && search === "" && hash === "";
  };
  const message = `must be ${row.range}`;
  const schema = z.string({ error: message }).refine(isGood, { error: message });
  return { schema, default: row.default, unit: "url", range: row.range, explanation: row.explanation };
}

export function choice<const C extends readonly [string, ...string[]]>(row: {
  default: C[number];
  choices: C;
  explanation: string;
}): Option<C[number]> {
  const range = row.choices.join(" | ");
  return {
    schema: z.enum(row.choices, {
      error: ({ input }) => `must be one of ${range}${didYouMean(String(input), row.choices)}`,
    }),
    default: row.default,
    unit: "",
    range,
    explanation: row.explanation,
  };
}

export function flag(row: { default: boolean; explanation: string }): Option<boolean> {
  const schema = z.preprocess(
    (raw) => (raw === "true" || raw === "1" ? true : raw === "false" || raw === "0" ? false : raw),
    z.boolean({ error: "must be true or false" }),
  );
  return { schema, default: row.default, unit: "", range: "true | false", explanation: row.explanation };
}

/** idleTimeoutSeconds → idle-timeout-seconds */
export const flagName = (key: string): string => key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
