/**
 * `megagate doctor --json`: the report for programs, as a zod schema and as the document that it describes. Public: fields may be
 * added to megagate.doctor.v1, never renamed or removed. doctor.v1.schema.json is this schema as JSON Schema; a test holds the
 * two equal.
 */
import { z } from "zod";
import type { MachineFacts } from "../kernel/facts.js";
import { REMEDY_DIALECTS } from "../remedies/remedies.js";
import { COUNT_LIMITS, type DoctorCeiling, type DoctorPlan, RATE_LIMITS } from "./ceiling.js";
import { firstCeiling } from "./ceilings.js";
import { DIALECT_OF } from "./runtime.js";

const count = z.int().min(0);
const side = z.enum(["server", "client", "both"]);
const limit = z.enum([...COUNT_LIMITS, ...RATE_LIMITS]);

const Need = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("sysctl"),
      key: z.string(),
      value: z.string(),
      scope: z.enum(["namespace", "host"]),
      module: z.string().optional(),
    }),
    z.strictObject({ kind: z.literal("nofile"), value: count }),
    z.strictObject({ kind: z.literal("tasks"), value: count }),
    z.strictObject({ kind: z.literal("memory"), bytes: count }),
  ])
  .meta({ description: "What would be enough, apart from the words of any system" });

const CeilingRow = z.strictObject({
  limit,
  side: side.meta({ description: "The end of a connection that uses it up" }),
  counts: z
    .boolean()
    .meta({ description: "False: it bounds how fast connections come and go, not how many there are" }),
  verdict: z.enum(["ok", "low", "unknown"]),
  connections: count.nullable().meta({
    description: "Connections that fit under it; null where it does not bound, or (verdict unknown) could not be told",
  }),
  there: z.string().meta({ description: "What is there now, in words" }),
  explanation: z.string(),
  symptom: z.string().meta({ description: "What is seen when it is hit" }),
  need: Need.nullable(),
  remedy: z.array(z.string()).meta({ description: "Lines to paste or run, in the words of `dialect`" }),
});

export const DoctorReport = z
  .strictObject({
    schema: z.literal("megagate.doctor.v1"),
    machine: z.strictObject({
      kernel: z.string(),
      cores: count.meta({ description: "Processors that may be used, a CPU quota counted and rounded up" }),
      cpuQuota: z.number().nullable().meta({ description: "In processors; null where none bounds" }),
      memoryBytes: count.nullable(),
      surrounding: z.enum(["host", "systemd", "lxc", "docker", "kubernetes"]),
      unit: z.string().nullable(),
    }),
    dialect: z.enum(REMEDY_DIALECTS),
    plan: z.strictObject({
      connections: count,
      side,
      listenPorts: z.array(count),
      sources: count,
      destinations: count,
    }),
    verdict: z
      .enum(["ok", "low"])
      .meta({ description: "low: a known ceiling is below the plan; the exit status is 1" }),
    first: z
      .strictObject({ limit, connections: count })
      .nullable()
      .meta({ description: "The ceiling that is met first; null where none is known" }),
    ceilings: z.array(CeilingRow).meta({ description: "Sorted by the count at which each bites" }),
  })
  .meta({ title: "megagate.doctor.v1", description: "What `megagate doctor --json` prints" });

export function doctorJson(
  ceilings: readonly DoctorCeiling[],
  facts: MachineFacts,
  plan: DoctorPlan,
): z.infer<typeof DoctorReport> {
  const first = firstCeiling(ceilings);
  const { open: _open, ...asked } = plan;
  return {
    schema: "megagate.doctor.v1",
    machine: {
      kernel: facts.kernel,
      cores: facts.cores,
      cpuQuota: facts.processors.quota,
      memoryBytes: facts.memory?.totalBytes ?? null,
      surrounding: facts.runtime,
      unit: facts.unit,
    },
    dialect: DIALECT_OF[facts.runtime],
    plan: { ...asked, listenPorts: [...asked.listenPorts] },
    verdict: isBelow(ceilings) ? "low" : "ok",
    first: first?.connections == null ? null : { limit: first.limit, connections: first.connections },
    ceilings: ceilings.map(({ current, explanation, symptom, need, remedy, ...row }) => ({
      ...row,
      there: current,
      explanation,
      symptom,
      need,
      remedy: [...remedy],
    })),
  };
}

/** Whether a limit on the count is known to be below the plan; a limit on the rate stops nobody. */
export const isBelow = (ceilings: readonly DoctorCeiling[]): boolean =>
  ceilings.some(({ counts, verdict }) => counts && verdict === "low");

/** The published JSON Schema: the content of doctor.v1.schema.json. */
export const renderSchema = (): string => `${JSON.stringify(z.toJSONSchema(DoctorReport), null, 2)}\n`;
