/** Each constant is the run's own where it is plausible, else the shipped one; the origin names which and why. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CONSTANTS } from "../../../../load/sizing/constants.js";
import { type Measured, readMeasured } from "../../../../load/sizing/measured.js";
import { type Origin, settle } from "../../../../load/sizing/settle.js";
import { GatewayError } from "../../../../src/errors.js";

const MILLION = "load/results/2026-11-23-million-with-history.json";
const million = (): Measured => readMeasured(MILLION, true)!.measured;
const originOf = (run: Measured | undefined, name: Origin["name"]): Origin =>
  settle(run).origins.find((origin) => origin.name === name)!;

function file(content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "megagate-plan-")), "evidence.json");
  writeFileSync(path, content);
  return path;
}

const faultOf = (path: string): string => {
  try {
    readMeasured(path, true);
  } catch (error) {
    assert.ok(error instanceof GatewayError && error.kind === "config", String(error));
    return error.detail;
  }
  return assert.fail("no fault was found");
};

describe("constants", () => {
  it("without evidence are all the shipped ones, each with unit, meaning and source", () => {
    const { values, origins } = settle();
    assert.equal(origins.length, Object.keys(CONSTANTS).length);
    for (const { name, value, unit, means, from, source } of origins) {
      assert.equal(from, "shipped");
      assert.equal(values[name], value);
      assert.ok(value > 0 && unit !== "" && means !== "" && source !== "", name);
    }
  });

  it("of a run of a million are those that it measured", () => {
    const { values } = settle(million());
    assert.equal(values.userPerConnection, 773);
    assert.equal(values.generatorPerConnection, 648);
    // Slab is of both ends.
    assert.ok(Math.abs(values.kernelPerServerEnd + values.kernelPerClientEnd - 10_173) < 2);
    // The slowest broadcast, 10.8 s on two cores.
    assert.equal(values.deliveryBothEnds, 21.6);
    assert.equal(values.connectBothEnds, 83.2);
    assert.ok(values.delivery < values.deliveryBothEnds && values.connect < values.connectBothEnds);
    assert.equal(originOf(million(), "userPerConnection").from, "evidence");
  });

  it("that the run lacks, or has implausibly, are the shipped ones, with the reason", () => {
    const { memory: _, ...without } = million();
    assert.match(originOf(without, "userPerConnection").source, /the evidence has no value/);
    const odd = { ...million(), memory: { ...million().memory, userBytesPerConnection: -3 } };
    assert.match(originOf(odd, "userPerConnection").source, /the evidence's -3 is not plausible/);
    assert.equal(originOf(odd, "userPerConnection").value, CONSTANTS.userPerConnection.value);
    assert.equal(originOf(odd, "generatorPerConnection").from, "evidence");
    assert.match(originOf({ ...million(), open: 500 }, "connect").source, /fewer than 10,000 connections/);
  });

  it("of times are the shipped ones where the gateway was on another machine", () => {
    const run = { ...million(), url: "ws://10.0.0.7:8080/ws", memory: { kernelBytesPerConnection: 5000 } };
    for (const name of ["delivery", "deliveryBothEnds", "connect", "kernelPerServerEnd"] as const) {
      assert.equal(originOf(run, name).from, "shipped", name);
    }
  });

  it("of times do not count a broadcast that did not reach all connections", () => {
    const run = { ...million(), broadcasts: [{ delivered: 5, lastSubscriberMs: 1 }] };
    assert.equal(originOf(run, "delivery").from, "shipped");
  });
});

describe("evidence files", () => {
  it("that are kept in the repository are all understood", () => {
    for (const name of ["2026-11-22-million-1", "2026-11-22-million-2", "2026-11-23-million-with-history"]) {
      const { measured } = readMeasured(`load/results/${name}.json`, true)!;
      assert.equal(measured.open, 1_000_000);
    }
  });

  it("that are missing are a fault only where one was named", () => {
    assert.equal(readMeasured("/nowhere/latest.json", false), undefined);
    assert.match(
      faultOf("/nowhere/latest.json"),
      /--evidence: \/nowhere\/latest\.json cannot be read .*Remedy: .*shipped/s,
    );
  });

  it("that are broken are refused with the place and the remedy", () => {
    assert.match(faultOf(file("{")), /is not JSON .*Remedy/s);
    assert.match(faultOf(file("[]")), /is no evidence .*the whole: .*Remedy/s);
    const other = { ...(JSON.parse(readFileSync(MILLION, "utf8")) as object), schema: "other.v2" };
    assert.match(faultOf(file(JSON.stringify(other))), /schema: must be megagate\.evidence\.v1/);
    const wrong = { schema: "megagate.evidence.v1", open: 20_000, memory: { baseBytes: "much" } };
    assert.match(faultOf(file(JSON.stringify(wrong))), /memory\.baseBytes: .*number/);
    assert.match(faultOf(tmpdir()), /cannot be read \(EISDIR/);
  });
});
