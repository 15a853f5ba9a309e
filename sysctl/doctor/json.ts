/**
 * `megagate doctor --json`: the report for programs, as zod schema and as the document that it describes. Fields are only
 * ever added to megagate.doctor.v1. doctor.v1.schema.json is this schema as JSON Schema; a test holds the two equal.
 */
import { z } from "zod";
import type { DoctorPlan, Facts } from "../kernel/facts.js";
import { REMEDY_DIALECTS } from "../remedies/remedies.js";
import { type Ceiling, COUNT_LIMITS, PACE_LIMITS } from "./ceiling.js";
import { firstCeiling } from "./ceilings.js";
import { DIALECT_OF } from "./runtime.js";

const count = z.int().min(0);
const side = z.enum(["server", "client", "both"]);
const limit = z.enum([...COUNT_LIMITS, ...PACE_LIMITS]);

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

export function doctorJson(ceilings: readonly Ceiling[], facts: Facts, plan: DoctorPlan): z.infer<typeof DoctorReport> {
  const first = firstCeiling(ceilings);
  const { open: _open, ...asked } = plan;
  return {
    schema: "megagate.doctor.v1",
    machine: {
      kernel: facts.kernel,
      cores: facts.cores,
      cpuQuota: facts.processors.quota,
      memoryBytes: facts.memory?.totalBytes ?? null,
      surrounding: facts.surrounding,
      unit: facts.unit,
    },
    dialect: DIALECT_OF[facts.surrounding],
    plan: { ...asked, listenPorts: [...asked.listenPorts] },
    verdict: isBelow(ceilings) ? "low" : "ok",
    first: first?.connections == null ? null : { limit: first.limit, connections: first.connections },
    ceilings: ceilings.map((row) => ({ ...row, remedy: [...row.remedy] })),
  };
}

/** A limit on the count is known to be below the plan; a slow pace does not stop anybody. */
export const isBelow = (ceilings: readonly Ceiling[]): boolean =>
  ceilings.some(({ counts, verdict }) => counts && verdict === "low");

/** The published JSON Schema, as it stands in doctor.v1.schema.json. */
export const renderSchema = (): string => `${JSON.stringify(z.toJSONSchema(DoctorReport), null, 2)}\n`;
