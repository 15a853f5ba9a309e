/**
 * The pictures of kept runs are what load/evidence/curve-svg.ts draws from their evidence files. `UPDATE=1` writes them
 * instead (make docs).
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type CurveEvidence, describeCurve, renderCurve } from "../../load/evidence/curve-svg.js";

const FOLDER = "load/results";
/** Runs that have a picture. */
const RUNS = ["2026-11-23-million-with-admission"];

const evidenceOf = (run: string): CurveEvidence =>
  JSON.parse(readFileSync(`${FOLDER}/${run}.json`, "utf8")) as CurveEvidence;

describe("pictures of kept runs", () => {
  for (const run of RUNS) {
    it(`${run}.svg is drawn from its evidence`, () => {
      const path = `${FOLDER}/${run}.svg`;
      const svg = renderCurve(evidenceOf(run), `${FOLDER}/${run}.json`);
      if (process.env.UPDATE === "1") writeFileSync(path, svg);
      assert.equal(readFileSync(path, "utf8"), svg, "make docs writes it");
    });
  }

  it("are all drawn by this script", () => {
    const pictures = readdirSync(FOLDER).filter((name) => name.endsWith(".svg"));
    assert.deepEqual(
      pictures.sort(),
      RUNS.map((run) => `${run}.svg`),
    );
  });
});

const EVIDENCE: CurveEvidence = {
  target: 1000,
  open: 1000,
  rampSeconds: 12.34,
  ramp: [
    [0, 0],
    [5, 400],
    [7, 600],
    [12.4, 1000],
  ],
  plan: { workers: 2, generators: 3, sourceAddresses: [], inFlight: 512 },
  host: { kernel: "6.18", cores: 2, memoryBytes: 8e9, nofileHard: 20_000, node: "v20.20.2" },
};

describe("the picture of a ramp", () => {
  it("names both axes, its source, and the rate", () => {
    const svg = renderCurve(EVIDENCE, "load/results/a.json");
    for (const text of [
      "open connections",
      "seconds since the ramp began",
      "load/results/a.json · 2 cores, both ends: 2 workers",
    ]) {
      assert.ok(svg.includes(text), text);
    }
    assert.match(svg, /<title id="title">1,000 connections in 12\.3 s: 81 a second<\/title>/);
    assert.match(svg, />1,000<\/text>/);
    assert.match(svg, />14<\/text>/, "the axis of seconds ends at a round number after the ramp");
  });

  it("describes itself in words for those who do not see it", () => {
    const text =
      "A line that rises from 0 to 1,000 open connections in 12.3 seconds; 500 are open after 7.0 seconds. " +
      "3 generators connect to 2 workers on one machine with 2 cores.";
    assert.equal(describeCurve(EVIDENCE), text);
    assert.ok(renderCurve(EVIDENCE, "a.json").includes(`<desc id="description">${text}</desc>`));
  });

  it("ends at the end of the ramp, though the last point was taken later", () => {
    const line = /class="line" d="M ([^"]+)"/.exec(renderCurve(EVIDENCE, "a.json"))?.[1]?.split(" L ");
    assert.deepEqual(line, ["92 312", "319.9 212", "411 162", "654.4 62"]);
  });

  it("has the default connection-tracking limit only where the curve passes it", () => {
    assert.doesNotMatch(renderCurve(EVIDENCE, "a.json"), /262,144/);
    assert.match(renderCurve({ ...EVIDENCE, open: 300_000, target: 300_000 }, "a.json"), /262,144: the default/);
  });

  it("has colours for light and dark pages, and a background of its own", () => {
    const svg = renderCurve(EVIDENCE, "a.json");
    assert.match(svg, /@media \(prefers-color-scheme: dark\)/);
    assert.match(svg, /<rect class="ground"/);
    const [light = "", dark = ""] = svg.split("@media");
    for (const name of [".ground", "text", ".quiet", ".grid", ".axis", ".line", ".area", ".end", ".limit"]) {
      assert.ok(light.includes(`${name} {`) && dark.includes(`${name} {`), name);
    }
  });
});
