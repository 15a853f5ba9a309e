/**
 * One whole trial: the survey of target and host, the plan, the run, the evidence. What can be known to fail is
 * refused here, before anything is forked. Runs in the coordinator process.
 */
import { GatewayError } from "../../src/errors.js";
import { takeSnapshot } from "../../sysctl/attribution/counters.js";
import { isTracking } from "../../sysctl/doctor/tracking.js";
import { KernelFiles } from "../../sysctl/kernel/files.js";
import { type MachineLimits, MachineReader } from "../../sysctl/kernel/machine.js";
import { readGateway } from "../attribution/gateway.js";
import { Observer } from "../attribution/observer.js";
import { type Evidence, judge } from "../evidence/evidence.js";
import { TopicPattern } from "../generator/topics.js";
import type { LoadConfig } from "../options.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";
import { Run } from "./coordinator.js";
import { MemoryAccount } from "./memory.js";
import type { RunContext } from "./phases.js";
import { makePlan } from "./plan.js";
import type { Scenario } from "./scenario.js";
import { Admin, findTarget, type GatewayProcess, type Processes, probe } from "./target.js";

const COUNT_AGE_MS = 1500;

/** One run; its evidence is there whatever becomes of it. */
export async function runTrial(config: LoadConfig, scenario?: Scenario): Promise<Evidence> {
  const { scene, facts, gateway, hidden, workers } = await survey(config, scenario);
  let found: ScenarioEvidence | undefined;
  const startedAt = new Date().toISOString();
  const run = new Run(scene, observe(scene, facts));
  const memory = new MemoryAccount(scene.host, gateway, { colocated: scene.target.colocated, hidden });
  try {
    await run.start();
    memory.takeBase();
    await run.rampUp();
    if (!run.stopped) memory.takeFull(run.fleet.pids, run.open);
    if (scenario && !run.stopped) found = await scenario.runScenario(run);
    // Its own count is held against all; who stays away for good is none of them.
    if (!found || found.returns.gone === 0) await run.hold();
    await run.broadcastAll();
    if (!run.stopped) memory.takeAfter();
  } catch (error) {
    run.complaints.push(`the run failed: ${(error as Error).message}`);
  }
  const findings = run.findings();
  await run.close();
  scene.admin?.end();
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
      generators: scene.plan.shares.length,
      sourceAddresses: scene.plan.sourceAddresses,
      inFlight: scene.plan.inFlight,
    },
    ...run.evidence(findings),
    memory: memory.evidence(run.watch.minFreeBytes),
    ...(found && { scenario: found }),
    ...judge(findings, config.strict),
  };
}

/** What watches the ramp: the kernel here, and the gateway by its admin address. */
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
    gateway: () => (admin ? readGateway(admin.url, nofile) : Promise.resolve(null)),
  });
}

/** "6.18.44-…" is at least 6.3. */
function atLeast(kernel: string, wantedMajor: number, wantedMinor: number): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map((part) => Number.parseInt(part, 10));
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

interface Survey {
  readonly scene: RunContext;
  readonly facts: MachineLimits;
  /** Its processes that are here. */
  readonly gateway: readonly GatewayProcess[];
  /** It named some, and none of them is its own as it is seen from here. */
  readonly hidden: boolean;
  readonly workers: number | null;
}

/** Looks at target, gateway and host, and makes the plan; throws what cannot be. */
async function survey(config: LoadConfig, scenario?: Scenario): Promise<Survey> {
  const host = new MachineReader();
  const topics = new TopicPattern(config.topic, config.connections);
  const target = await findTarget(config.target, topics);
  const admin = new Admin(config.adminUrl);
  // Asked before the probe, whose own connection would be counted; told after it, because the target matters more.
  const seen = await settledProcesses(admin);
  await probe(target, topics.of(0));
  if (seen instanceof Error && (config.broadcasts > 0 || scenario)) throw noAdmin(config.adminUrl, seen);
  const processes = seen instanceof Error ? [] : seen.processes;
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
  const known = !(seen instanceof Error);
  await scenario?.check(config.adminUrl, target.colocated);
  const reconnects = scenario && { reconnects: scenario.reconnects };
  return {
    scene: {
      config,
      target,
      plan,
      host,
      admin: known ? admin : null,
      held: known ? seen.connections : 0,
      ...reconnects,
    },
    facts,
    gateway: here,
    hidden,
    workers: known ? workers.length : null,
  };
}

/** The gateway's processes; asked twice when it holds connections, because its count is a second old. */
async function settledProcesses(admin: Admin): Promise<Processes | Error> {
  try {
    const seen = await admin.processes();
    if (seen.connections === 0) return seen;
    await new Promise((resolve) => setTimeout(resolve, COUNT_AGE_MS));
    return await admin.processes();
  } catch (error) {
    admin.end();
    return error as Error;
  }
}

function noAdmin(url: string, error: Error): GatewayError {
  return new GatewayError(
    "unreachable",
    `the gateway's admin address ${url} did not answer: ${error.message}.\n` +
      "Remedy: name it with --admin-url, or do without broadcasts and its own count: --broadcasts 0",
  );
}
