/**
 * How a kernel value is compared with a wanted one, and which text would be written instead. Pure: text in, text out.
 * One function, `nextValue`, answers both "is it enough?" and "what to write?", so that the answers cannot disagree: the text
 * that it returns is enough by its own rules (test/unit/sysctl/rules.test.ts checks that).
 */

export type Want =
  /** A number, this or more: never lowered. */
  | { readonly rule: "atLeast"; readonly value: number; readonly zeroIsUnlimited?: true }
  /** A number from 1 to this: the only number rule that may lower. */
  | { readonly rule: "atMost"; readonly value: number }
  /** One of these words; the first is written. */
  | { readonly rule: "oneOf"; readonly values: readonly [string, ...string[]] }
  /** A range "low high" that covers this one: never narrowed. */
  | { readonly rule: "covers"; readonly low: number; readonly high: number }
  /** A port list such as "8080,9000-9100" that contains these: merged, nothing is taken out. */
  | { readonly rule: "reserves"; readonly ports: readonly number[] }
  /** Three numbers of which the last is this or more; the first two are raised along with it. */
  | { readonly rule: "lastAtLeast"; readonly values: readonly [number, number, number] }
  /** Three numbers of which the last is this or less; the first two are lowered only to keep the order. */
  | { readonly rule: "lastAtMost"; readonly value: number };

const SHAPES: Readonly<Record<Want["rule"], RegExp>> = {
  atLeast: /^\d+$/,
  atMost: /^\d+$/,
  oneOf: /^\S+$/,
  covers: /^\d+\s+\d+$/,
  reserves: /^(\d+(-\d+)?(,\d+(-\d+)?)*)?$/,
  lastAtLeast: /^\d+\s+\d+\s+\d+$/,
  lastAtMost: /^\d+\s+\d+\s+\d+$/,
};

/** Whether the kernel's text has the shape that the rule can judge. */
export const isLegible = (want: Want, now: string): boolean => SHAPES[want.rule].test(now);

/** The text to write over `now`, or undefined where `now` is as wanted or better. `now` must be legible. */
export function nextValue(want: Want, now: string): string | undefined {
  const parts = now.split(/\s+/).map(Number);
  const [first = 0, second = 0, third = 0] = parts;
  switch (want.rule) {
    case "atLeast":
      if (first === 0 && want.zeroIsUnlimited) return undefined;
      return first >= want.value ? undefined : String(want.value);
    case "atMost":
      // 0 would mean "never writable" for tcp_notsent_lowat, not "better than asked for".
      return first >= 1 && first <= want.value ? undefined : String(want.value);
    case "oneOf":
      return want.values.includes(now) ? undefined : want.values[0];
    case "covers":
      if (first <= want.low && second >= want.high) return undefined;
      return `${Math.min(first, want.low)} ${Math.max(second, want.high)}`;
    case "reserves": {
      const reserved = parsePorts(now);
      if (want.ports.every((port) => reserved.has(port))) return undefined;
      return formatPorts([...reserved, ...want.ports]);
    }
    case "lastAtLeast":
      if (third >= want.values[2]) return undefined;
      return want.values.map((value, i) => Math.max(value, parts[i]!)).join(" ");
    case "lastAtMost":
      if (third <= want.value) return undefined;
      return parts.map((part) => Math.min(part, want.value)).join(" ");
  }
}

/** Whether `next` is lower than `now`, by the last number, which is the bound in every setting that has several. */
export function isLower(next: string, now: string): boolean {
  const last = (text: string): number => Number(text.split(/[\s,-]+/).at(-1));
  return last(next) < last(now);
}

/** The wanted value where no host is known, as for a file to hand out. */
export function plainValue(want: Want): string {
  switch (want.rule) {
    case "atLeast":
    case "atMost":
      return String(want.value);
    case "oneOf":
      return want.values[0];
    case "covers":
      return `${want.low} ${want.high}`;
    case "reserves":
      return formatPorts(want.ports);
    case "lastAtLeast":
      return want.values.join(" ");
    case "lastAtMost":
      // The kernel's own first two values (ip-sysctl): a file must write all three.
      return `4096 16384 ${want.value}`;
  }
}

/** "8080,9000-9002" → 8080, 9000, 9001, 9002. */
export function parsePorts(text: string): Set<number> {
  const ports = new Set<number>();
  for (const piece of text.split(",").filter((part) => part !== "")) {
    const [low = 0, high = low] = piece.split("-").map(Number);
    for (let port = low; port <= high; port++) ports.add(port);
  }
  return ports;
}

/** The kernel's own spelling: ascending, neighbours joined, so that reading back gives the same text. */
export function formatPorts(ports: readonly number[]): string {
  const runs: { low: number; high: number }[] = [];
  for (const port of [...new Set(ports)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.high === port - 1) last.high = port;
    else runs.push({ low: port, high: port });
  }
  return runs.map(({ low, high }) => (low === high ? String(low) : `${low}-${high}`)).join(",");
}
