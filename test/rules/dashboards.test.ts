/**
 * dashboards/ against the metric catalogue, in both directions, the dashboard's own layout, and what makes alerts fire.
 * What can be known without Prometheus is read out of the expressions here; where promtool is there, it parses them too.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { METRICS } from "../../src/metrics/catalog.js";
import { needsPrograms } from "../support/needs.js";
import { groupingsOf, knownMetrics, selectorsOf } from "./expressions.js";

const PATH = "dashboards/gateway.json";
const ALERTS_PATH = "dashboards/alerts.yml";

/** Metrics of ours that are on no panel, each with the reason. */
const UNSHOWN: Readonly<Record<string, string>> = {};

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat?: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
}
interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

interface Alerts {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

const namesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) => readFileSync(join(folder, path), "utf8").match(/\bmegagate_[a-z_]+/g) ?? []);

const alerts = (parse(readFileSync(ALERTS_PATH, "utf8")) as Alerts).groups.flatMap(({ rules }) => rules);
const dashboard = JSON.parse(readFileSync(PATH, "utf8")) as Dashboard;
const known = await knownMetrics();
const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: `${ALERTS_PATH}, ${alert}`, text: expr, legend: "" })),
  ...dashboard.panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ refId, expr, legendFormat }) => ({
      where: `${PATH}, panel "${panel.title}", query ${refId}`,
      text: expr,
      legend: legendFormat ?? "",
    })),
  ),
  ...dashboard.annotations.list.map(({ name, expr }) => ({
    where: `${PATH}, annotation "${name}"`,
    text: expr,
    legend: "",
  })),
  ...dashboard.templating.list.flatMap(({ name, definition = "" }) =>
    [...definition.matchAll(/^label_values\((.+), \w+\)$/g)].map(([, text = ""]) => ({
      where: `${PATH}, variable ${name}`,
      text,
      legend: "",
    })),
  ),
];

describe("the parser of this test", () => {
  it("finds metrics, their labels and what a grouping is asked of", () => {
    const text = 'sum by (reason) (rate(a_total{job=~"by (x) b"}[5m])) / on (job) max by (worker) (c{worker!="1"})';
    const found = selectorsOf(text).map(({ metric, labels }) => `${metric}{${labels.join()}}`);
    assert.deepEqual(found, ["a_total{job}", "c{worker}"]);
    assert.deepEqual(groupingsOf(text), [
      { labels: ["reason"], metrics: ["a_total"] },
      { labels: ["job"], metrics: ["a_total", "c"] },
      { labels: ["worker"], metrics: ["c"] },
    ]);
  });
});

describe("dashboards/gateway.json and the metric catalogue", () => {
  it("names only metrics that are scraped", () => {
    const used = expressions.flatMap(({ where, text }) => selectorsOf(text).map(({ metric }) => ({ where, metric })));
    for (const { where, metric } of used) {
      assert.ok(
        known.has(metric),
        `${where}: ${metric} is neither in src/metrics/catalog.ts nor a default of prom-client. ` +
          "Correct the query, or add the metric to the catalogue.",
      );
    }
  });

  it("knows every metric that the load generator and the kernel tools look for", () => {
    const table = "megagate_prove";
    for (const name of new Set([...namesIn("load"), ...namesIn("sysctl")]))
      assert.ok(name === table || known.has(name), `${name} is not in src/metrics/catalog.ts`);
  });

  it("shows every metric of ours", () => {
    const onPanels = expressions.filter(({ where }) => where.includes("panel"));
    const shown = new Set(onPanels.flatMap(({ text }) => selectorsOf(text).map(({ metric }) => metric)));
    for (const name of METRICS.keys()) {
      assert.ok(
        shown.has(name) || name in UNSHOWN,
        `${name} is in src/metrics/catalog.ts and on no panel of ${PATH}. Add it to the panel where an operator would ` +
          "look for it, or to UNSHOWN in test/rules/dashboards.test.ts with the reason why nobody needs to see it.",
      );
    }
    for (const name of Object.keys(UNSHOWN)) {
      assert.ok(METRICS.has(name) && !shown.has(name), `${name} in UNSHOWN is shown or no longer exists: take it out`);
    }
  });

  it("selects and groups by labels that the metric has", () => {
    for (const { where, text, legend } of expressions) {
      const groupings = groupingsOf(text);
      const asked = [
        ...selectorsOf(text).map(({ metric, labels }) => ({ labels, metrics: [metric] })),
        ...groupings,
      ].flatMap(({ labels, metrics }) => metrics.flatMap((metric) => labels.map((label) => ({ metric, label }))));
      for (const { metric, label } of asked) {
        const has = known.get(metric)?.labels ?? new Set();
        const message = `${metric} has no label "${label}" (src/metrics/catalog.ts); it has ${[...has].join(", ")}`;
        assert.ok(has.has(label), `${where}: ${message}`);
      }
      for (const [, label = ""] of legend.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) {
        const all = selectorsOf(text).flatMap(({ metric }) => [...(known.get(metric)?.labels ?? [])]);
        const left = groupings.length > 0 ? groupings.flatMap(({ labels }) => labels) : all;
        assert.ok(left.includes(label), `${where}: the legend names {{${label}}}, which the query does not give`);
      }
    }
  });

  it("reads counters through rate or increase, and gauges never", () => {
    for (const { where, text } of expressions) {
      for (const { metric, at } of selectorsOf(text)) {
        const isRate = /\b(rate|increase|irate)\s*\(\s*$/.test(text.slice(0, at));
        const wanted = known.get(metric)?.type === "counter";
        assert.equal(
          isRate,
          wanted,
          `${where}: ${metric} ${wanted ? "is a counter: use rate()" : "is a gauge: no rate()"}`,
        );
      }
    }
  });
});

describe("the dashboard's layout", () => {
  const { panels } = dashboard;

  it("gives every panel its own id and a title, and every panel with data a description and a unit", () => {
    assert.equal(dashboard.schemaVersion, 39);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, "panel ids repeat");
    assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length, "panel titles repeat");
    for (const { type, title, description, fieldConfig } of panels) {
      if (type === "row") continue;
      assert.ok(description, `panel "${title}" has no description`);
      assert.ok(type === "table" || fieldConfig?.defaults.unit, `panel "${title}" has no unit`);
    }
  });

  it("lets no two panels overlap, and none stick out of the 24 columns", () => {
    for (const [i, one] of panels.entries()) {
      const a = one.gridPos;
      assert.ok(a.x >= 0 && a.x + a.w <= 24, `panel "${one.title}" sticks out`);
      for (const other of panels.slice(i + 1)) {
        const b = other.gridPos;
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        assert.ok(apart, `panels "${one.title}" and "${other.title}" overlap`);
      }
    }
  });

  it("has its rows in the order of the flow", () => {
    const rows = panels.filter(({ type }) => type === "row").map(({ title }) => title.split(":")[0]);
    assert.deepEqual(rows, ["Sockets", "Sessions", "Topics", "Hub", "Processes"]);
  });
});

describe("dashboards/alerts.yml", () => {
  it("says of each alert what is wrong, what that means and what to do, and how urgent it is", () => {
    for (const { alert, labels, annotations } of alerts) {
      assert.deepEqual(Object.keys(annotations), ["summary", "description", "remedy"], alert);
      assert.match(labels.severity ?? "", /^(page|ticket)$/, alert);
    }
    assert.equal(new Set(alerts.map(({ alert }) => alert)).size, alerts.length, "names of alerts repeat");
  });

  it("has a test in which each alert fires", () => {
    const tests = readFileSync("dashboards/alerts.test.yml", "utf8");
    for (const { alert } of alerts) {
      assert.match(tests, new RegExp(`alertname="${alert}"[^}]*\\}',?\\s+value: 1`), alert);
    }
  });
});

describe("promtool", () => {
  it("accepts every expression and dashboards/prometheus.yml, and the alerts do what their tests say", {
    skip: needsPrograms("promtool"),
  }, () => {
    const folder = mkdtempSync(join(tmpdir(), "megagate-promtool-"));
    try {
      const rules = expressions.map(({ text }, i) => ({ record: `check:e${i}`, expr: withoutVariables(text) }));
      // JSON is YAML.
      writeFileSync(join(folder, "rules.yml"), JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
      const rulesPath = join(folder, "rules.yml");
      for (const words of [
        `check rules ${rulesPath}`,
        "check config dashboards/prometheus.yml",
        "test rules dashboards/alerts.test.yml",
      ]) {
        const { status, stdout, stderr } = spawnSync("promtool", words.split(" "), { encoding: "utf8" });
        assert.equal(status, 0, `promtool ${words}:\n${stdout}${stderr}`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** As Grafana would fill them in. */
function withoutVariables(text: string): string {
  return text.replaceAll("$__rate_interval", "1m").replaceAll("$__range", "1h").replaceAll(/\$\w+/g, ".*");
}
