/**
 * `megagate plan`: makes a plan from options, this machine and the last evidence, and prints it on stdout. A plan that does not
 * fit is printed too, and then ends the command with the error `refused` (exit status 3). Runs in the command line.
 */
import type { Command } from "commander";
import { addOptions } from "../../src/config/help.js";
import { type Resolved, resolve } from "../../src/config/resolve.js";
import { GatewayError } from "../../src/errors.js";
import { MachineReader } from "../../sysctl/kernel/machine.js";
import { EXAMPLES, requestOf } from "./examples.js";
import { type MeasuredFile, readMeasured } from "./measured.js";
import { PLAN_OPTIONS, type PlanConfig, SHIPPED } from "./options.js";
import { planOf } from "./plan.js";
import { renderPlan, shortageOf } from "./report.js";

export function registerPlan(program: Command): void {
  const command = program
    .command("plan")
    .description("How big must the machine be: workers, descriptors, memory, CPU, network, times, number of servers.");
  addOptions(command, PLAN_OPTIONS).action((flags: Record<string, unknown>) => {
    const resolved = resolve(PLAN_OPTIONS, { command: "plan", flags, env: process.env });
    const { json, explain } = resolved.config;
    const plan = planFor(resolved, new MachineReader());
    process.stdout.write(json ? `${JSON.stringify(plan, null, 2)}\n` : renderPlan(plan, explain));
    const shortage = shortageOf(plan);
    if (shortage !== undefined) throw new GatewayError("refused", shortage);
  });
}

/** Options of the machine that were not given describe this one, within the limits of its control groups. */
export function planFor(resolved: Resolved<typeof PLAN_OPTIONS>, host: MachineReader): ReturnType<typeof planOf> {
  const config = withExample(resolved);
  const here = host.limits();
  const values = {
    ...config,
    cores: config.cores || here.cpus,
    memoryBytes: config.memoryBytes || Math.min(here.memoryBytes, here.groupMemory?.limit ?? Number.POSITIVE_INFINITY),
    nofile: config.nofile || Math.min(here.nofileHard, MAX_NOFILE),
  };
  // The control groups of another machine are unknown.
  const isThis = config.cores === 0 && config.memoryBytes === 0;
  const tasks = isThis && here.groupTasks ? { tasks: here.groupTasks.limit - here.groupTasks.used } : {};
  const ports = here.portHigh - here.portLow + 1 - here.portsReserved;
  return planOf(
    requestOf({ ...values, ...tasks }, evidenceOf(config, resolved.sources.evidence === "default"), Math.max(2, ports)),
  );
}

/** The kernel's own ceiling, for a limit of "unlimited". */
const MAX_NOFILE = 1_073_741_816;

/** An example provides the options that were not given. */
function withExample({ config, sources }: Resolved<typeof PLAN_OPTIONS>): PlanConfig {
  if (config.example === "none") return config;
  const values = Object.entries(EXAMPLES[config.example]).filter(
    ([key]) => sources[key as keyof PlanConfig] === "default",
  );
  return { ...config, ...Object.fromEntries(values) };
}

function evidenceOf({ evidence }: PlanConfig, byDefault: boolean): MeasuredFile | undefined {
  return evidence === SHIPPED ? undefined : readMeasured(evidence, !byDefault);
}
