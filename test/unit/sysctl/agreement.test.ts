/** Doctor and tune say the same of the same host: a property over all recorded hosts, whatever is asked of them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Ceiling, ceilingsOf } from "../../../sysctl/doctor/ceilings.js";
import { survey } from "../../../sysctl/doctor/survey.js";
import { openProcSys } from "../../../sysctl/kernel/proc-sys.js";
import { kernelPlan } from "../../../sysctl/plan.js";
import { SETTINGS } from "../../../sysctl/settings.js";
import { contradictions } from "../../../sysctl/tune/contradictions.js";
import { diff, type Tuned, tune } from "../../../sysctl/tune/tune.js";
import { runs } from "../../support/runs.js";
import { ALL_HOSTS, onHost } from "./doctor/variants.js";

interface Asked {
  readonly connections: number;
  readonly tracked: boolean | null;
  readonly coLocated: boolean;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  connections: fc.integer({ min: 1, max: 5_000_000 }),
  tracked: fc.constantFrom(true, false, null),
  coLocated: fc.boolean(),
});

const optionsAt = (root: string) => ({ statePath: join(root, "rollback.json"), allowLowering: true });

/** What both say of the host below a root, asked the same. */
function answers(root: string, { connections, tracked, coLocated }: Asked) {
  const facts = survey(root, tracked);
  const listenPorts = [8080, 8081];
  const side = coLocated ? "both" : "server";
  const rows = ceilingsOf(facts, { connections, side, listenPorts, sources: 0, destinations: 1, open: 0 });
  const plan = kernelPlan(facts, { connections, listenPorts, coLocated });
  return { rows, plan, facts };
}

/** The setting that a row of the doctor asks for; undefined where tune has no such setting. */
function keyOf({ need }: Ceiling): string | undefined {
  const key = need?.kind === "sysctl" ? need.key : undefined;
  return SETTINGS.some((setting) => setting.key === key) ? key : undefined;
}

const byKey = (rows: readonly Tuned[], key: string): Tuned => rows.find((row) => row.setting.key === key)!;
const last = (value = ""): number => Number(value.split(/\s+/).at(-1));

describe("doctor and tune", () => {
  for (const host of ALL_HOSTS) {
    it(`say the same of ${host}`, () =>
      onHost(host, (root) => {
        fc.assert(
          fc.property(asked, (question) => {
            const { rows, plan } = answers(root, question);
            const tuned = diff(openProcSys(root), plan, optionsAt(root)).rows;
            for (const row of rows) {
              const key = keyOf(row);
              if (row.verdict !== "low" || key === undefined) continue;
              const { status, after } = byKey(tuned, key);
              assert.ok(["raised", "lowered"].includes(status), `${row.limit} is low, and tune says ${key}: ${status}`);
              const { value } = row.need as { value: string };
              // tcp_mem is never more than the memory that idle sockets leave, which the doctor calls low itself.
              if (key === "net.ipv4.tcp_mem" || after === value) continue;
              assert.ok(last(after) >= last(value) * 0.99, `${key}: doctor asks for ${value}, tune for ${after}`);
            }
            const flows = rows.find(({ limit }) => limit === "conntrack")!;
            const { status } = byKey(tuned, "net.netfilter.nf_conntrack_max");
            if (status === "notNeeded") assert.notEqual(flows.verdict, "low");
            if (question.tracked !== null && status === "raised") assert.ok(flows.connections !== null);
          }),
          runs(60),
        );
      }));

    it(`agree on ${host} once tune has done its work`, () =>
      onHost(host, (root) => {
        for (const tracked of [true, false]) {
          const question = { connections: 1_000_000, tracked, coLocated: false };
          const { plan } = answers(root, question);
          const target = openProcSys(root);
          if (contradictions(plan, target, true).length > 0) continue;
          tune(target, plan, optionsAt(root));
          for (const row of answers(root, question).rows) {
            if (keyOf(row) !== undefined) assert.notEqual(row.verdict, "low", row.limit);
          }
        }
      }));
  }
});
