/**
 * One whole trial: the survey of target and host, the plan, the run, the evidence. A run that is known to fail is refused
 * here, before anything is forked. Runs in the coordinator process.
 */
import { GatewayError } from "../../src/errors.js";
import { takeSnapshot } from "../../sysctl/attribution/counters.js";
import { isTracking } from "../../sysctl/doctor/tracking.js";
import { KernelFiles } from "../../sysctl/kernel/files.js";
import { type MachineLimits, MachineReader } from "../../sysctl/kernel/machine.js";
import { readGatewayNumbers } from "../attribution/gateway.js";
import { Observer } from "../attribution/observer.js";
import { type Evidence, judge } from "../evidence/evidence.js";
import { TopicPattern } from "../generator/topics.js";
import type { LoadConfig } from "../options.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";
import { Run } from "./coordinator.js";
import { ConnectionMemory } from "./memory.js";
import type { RunContext } from "./phases.js";
import { makePlan } from "./plan.js";
import type { TrialScenario } from "./scenario.js";
import { Admin, findTarget, type GatewayProcess, type Processes, probe } from "./target.js";

const COUNT_AGE_MS = 1500;

/** One run; returns its evidence however the run ends. */
export async function runTrial(config: LoadConfig, scenario?: TrialScenario): Promise<Evidence> {
  const { context, facts, gateway, hidden, workers } = await survey(config, scenario);
  let found: ScenarioEvidence | undefined;
  const startedAt = new Date().toISOString();
  const run = new Run(context, { observer: observe(context, facts) });
  const memory = new ConnectionMemory(context.host, gateway, { colocated: context.target.colocated, hidden });
  try {
    await run.start();
    memory.takeBase();
    await run.rampUp();
    if (!run.stopped) memory.takeFull(run.generators.pids, run.open);
    if (scenario && !run.stopped) found = await scenario.run(run);
    // The hold compares the gateway's count with all connections, so it is skipped where some stay away for good.
    if (!found || found.returns.gone === 0) await run.hold();
    await run.broadcastAll();
    if (!run.stopped) memory.takeAfter();
  } catch (error) {
    run.complaints.push(`the run failed: ${(error as Error).message}`);
  }
  const findings = run.findings();
  await run.close();
  context.admin?.end();
  return {
    schema: "megagate.evidence.v1",
    startedAt,
    url: config.target,
    host: {
      kernel: facts.kernel,
      cores: facts.cores,
      memoryBytes: facts.memoryBytes,
      nofileHard: facts.nofileHard,
      node: process.version,
    },
    plan: {
      workers,
      generators: context.plan.shares.length,
      sourceAddresses: context.plan.sourceAddresses,
      inFlight: context.plan.inFlight,
    },
    ...run.evidence(findings),
    memory: memory.evidence(run.limits.minFreeBytes),
    ...(found && { scenario: found }),
    ...judge(findings, config.strict),
  };
}

/** The observer of the ramp: it reads the kernel's counters here, and the gateway's at its admin address. */
function observe({ config, plan, target, host, admin }: RunContext, facts: MachineLimits): Observer {
  const circumstances = {
    target: config.connections,
    colocated: target.colocated,
    cores: facts.cores,
    generators: plan.shares.length,
    nofile: facts.nofileHard,
    sources: plan.sourceAddresses.length,
    ports: facts.portHigh - facts.portLow + 1 - facts.portsReserved,
    wholeRange: plan.portRange !== null && atLeast(facts.kernel, 6, 3),
  };
  const nofile = (pid: number): number | undefined =>
    target.colocated && host.runs({ pid, role: "worker" }) ? host.nofile(pid) : undefined;
  const files = new KernelFiles();
  return new Observer(circumstances, {
    kernel: () => takeSnapshot(files),
    gateway: () => (admin ? readGatewayNumbers(admin.access, nofile) : Promise.resolve(null)),
  });
}

/** "6.18.44-…" is at least 6.3. */
function atLeast(kernel: string, wantedMajor: number, wantedMinor: number): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map((part) => Number.parseInt(part, 10));
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

interface Survey {
  readonly context: RunContext;
  readonly facts: MachineLimits;
  /** The gateway's processes that run on this host. */
  readonly gateway: readonly GatewayProcess[];
  /** The gateway named processes, and none of them is a gateway process here: it runs in another PID namespace. */
  readonly hidden: boolean;
  readonly workers: number | null;
}

/** Examines target, gateway and host, and makes the plan; throws GatewayError for a run that cannot succeed. */
async function survey(config: LoadConfig, scenario?: TrialScenario): Promise<Survey> {
  const host = new MachineReader();
  const topics = new TopicPattern(config.topic, config.connections);
  const target = await findTarget(config.target, topics);
  const admin = new Admin(config);
  // Asked before the probe, whose connection would be counted; reported after it, because a wrong target matters more.
  const found = await processesOf(admin);
  await probe(target, topics.of(0));
  if (found instanceof Error && (config.broadcasts > 0 || scenario)) throw noAdmin(config.adminUrl, found);
  if (config.broadcasts > 0 || scenario) await admin.mayPublish();
  const processes = found instanceof Error ? [] : found.processes;
  const workers = processes.filter((one) => one.role === "worker");
  const here = processes.filter((one) => host.runs(one));
  const workersHere = here.filter((one) => one.role === "worker");
  const nofile = Math.min(...workersHere.map((one) => host.nofile(one.pid) ?? Number.POSITIVE_INFINITY));
  const hidden = processes.length > 0 && here.length === 0;
  const sameUser = hidden || workersHere.some((one) => host.isOurs(one.pid));
  const sharesGroup = !hidden && here.every((one) => host.sharesGroup(one.pid));
  const facts = { ...host.limits(), tracked: await isTracking() };
  const plan = makePlan({
    connections: config.connections,
    generators: config.generators,
    inFlight: config.inFlight,
    sourceAddresses: config.sourceAddresses === "auto" ? "auto" : config.sourceAddresses.split(","),
    memoryFloorBytes: config.memoryFloor,
    force: config.force,
    target: { ...target, sharesGroup },
    gateway: workers.length > 0 ? { workers: workers.length, nofile, sameUser } : null,
    host: facts,
  });
  const known = !(found instanceof Error);
  await scenario?.check(target.colocated);
  const reconnects = scenario && { reconnects: scenario.reconnects };
  return {
    context: {
      config,
      target,
      plan,
      host,
      admin: known ? admin : null,
      held: known ? found.connections : 0,
      ...reconnects,
    },
    facts,
    gateway: here,
    hidden,
    workers: known ? workers.length : null,
  };
}

/** The gateway's processes and connections; asked twice when it holds connections, because its count is up to a second old. */
async function processesOf(admin: Admin): Promise<Processes | Error> {
  try {
    const found = await admin.processes();
    if (found.connections === 0) return found;
    await new Promise((resolve) => setTimeout(resolve, COUNT_AGE_MS));
    return await admin.processes();
  } catch (error) {
    admin.end();
    return error as Error;
  }
}

function noAdmin(url: string, error: Error): GatewayError {
  // It answered, and does not accept the key.
  if (error instanceof GatewayError) return error;
  return new GatewayError(
    "unreachable",
    `the gateway's admin address ${url} did not answer: ${error.message}.\n` +
      "Remedy: name it with --admin-url, or do without broadcasts and its own count: --broadcasts 0",
  );
}
