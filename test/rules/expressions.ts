/**
 * What can be known of a Prometheus expression without Prometheus: the metrics that it names, their labels, and what a
 * grouping is asked of; and which metrics a gateway's scrape has.
 */
import assert from "node:assert/strict";
import { collectDefaultMetrics, Registry } from "prom-client";
import { METRICS } from "../../src/metrics/catalog.js";

/** Ours from the catalogue, Node's and the process's from prom-client itself; every scrape adds job and instance. */
export async function knownMetrics(): Promise<Map<string, { type: string; labels: ReadonlySet<string> }>> {
  const metrics = new Map<string, { type: string; labels: ReadonlySet<string> }>();
  const add = (name: string, type: string, labels: readonly string[]): unknown =>
    metrics.set(name, { type, labels: new Set([...labels, "job", "instance"]) });
  for (const { name, type, labels } of METRICS.values()) add(name, type, labels ?? []);
  const register = new Registry();
  collectDefaultMetrics({ register });
  for (const { name, type } of await register.getMetricsAsJSON()) {
    const { labelNames } = register.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
    if (String(type) !== "histogram") add(name, String(type), labelNames);
    else for (const part of ["sum", "count", "bucket"]) add(`${name}_${part}`, "counter", [...labelNames, "le"]);
  }
  // Lists every descriptor at each scrape: the gateway removes it (DESIGN §6).
  metrics.delete("process_open_fds");
  return metrics;
}

const GROUPING = /\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const OPERATOR = /^(and|or|unless|bool|offset|sum|min|max|avg|count|topk|bottomk)$/;

/** Strings emptied and ranges blanked, at equal length, so that what is left is names, labels and brackets. */
function bare(text: string): string {
  const blank = (part: string): string => " ".repeat(part.length);
  return text.replace(/"(?:[^"\\]|\\.)*"/g, blank).replace(/\[[^\]]*\]/g, blank);
}

export function selectorsOf(text: string): { metric: string; labels: string[]; at: number }[] {
  const names = bare(text).replace(GROUPING, (part) => " ".repeat(part.length));
  const found = names.matchAll(/(?<![\w:$])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?/g);
  return [...found].flatMap((match) => {
    const [, metric = "", braces = "", call] = match;
    if (call !== undefined || OPERATOR.test(metric)) return [];
    return [{ metric, labels: [...braces.matchAll(/(\w+)\s*[=!]/g)].map((label) => label[1]!), at: match.index }];
  });
}

/** The labels of each by, on, …, and the metrics that they are asked of: those in the bracket that follows. */
export function groupingsOf(text: string): { labels: string[]; metrics: string[] }[] {
  const names = bare(text);
  return [...names.matchAll(GROUPING)].map((match) => {
    const end = match.index + match[0].length;
    const [from, to] = ["by", "without"].includes(match[1]!) ? [end, bracketEnd(names, end)] : [0, names.length];
    const inside = selectorsOf(text).filter(({ at }) => at >= from && at < to);
    return { labels: [...match[2]!.matchAll(/\w+/g)].map(String), metrics: inside.map(({ metric }) => metric) };
  });
}

function bracketEnd(names: string, from: number): number {
  assert.match(names.slice(from), /^\s*\(/, "write `sum by (label) (…)`, not `sum (…) by (label)`: this test reads on");
  for (let at = names.indexOf("(", from), depth = 0; at < names.length; at++) {
    depth += names[at] === "(" ? 1 : names[at] === ")" ? -1 : 0;
    if (depth === 0) return at;
  }
  return names.length;
}
