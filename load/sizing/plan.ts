/**
 * A whole plan: how many servers, what each must have, what bounds it first, and what a failure or a rolling restart of
 * one among many asks of the others. Pure; `megagate plan --json` prints it as it is.
 */
import { GatewayError } from "../../src/errors.js";
import { type Bound, boundsOf, serversFor } from "./bounds.js";
import type { Demand, Machine } from "./demand.js";
import type { EvidenceFile } from "./measured.js";
import { type Origin, settle } from "./settle.js";
import { type Figures, figuresOf, type Given } from "./sums.js";

export interface PlanRequest {
  readonly demand: Demand;
  readonly machine: Machine;
  /** 0 computes them. */
  readonly servers: number;
  /** Of these, how many may be down while the rest carries all. */
  readonly spare: number;
  readonly evidence: EvidenceFile | undefined;
}

/** One server of many goes: its connections come back to the others. */
export interface Fleet {
  /** Each server's, with all of them up. */
  readonly usualConnections: number;
  /** More on each of the others when one fails. */
  readonly extraConnections: number;
  /** Until they are back, in the cores that the usual traffic leaves free. */
  readonly returnSeconds: number;
  /** One server after the other, each with its goodbye and its window. */
  readonly rollingRestartSeconds: number;
}

export interface SizingPlan {
  readonly schema: "megagate.plan.v1";
  readonly demand: Demand;
  readonly machine: Machine;
  readonly evidence: {
    readonly path: string;
    readonly startedAt: string | null;
    readonly verdict: string | null;
  } | null;
  /** Null when no number of such servers is enough. */
  readonly servers: number | null;
  readonly spare: number;
  readonly fits: boolean;
  /** What bites first stands first. */
  readonly bounds: readonly Bound[];
  /** One server, with the spare ones down. */
  readonly perServer: Figures;
  readonly fleet: Fleet | null;
  readonly constants: readonly Origin[];
}

/** Throws `config` where the request contradicts itself. */
export function planOf(request: PlanRequest): SizingPlan {
  refuseContradictions(request);
  const { demand, machine, spare, evidence } = request;
  const { values, origins } = settle(evidence?.measured);
  const given: Given = { demand, machine, constants: values };
  const active = request.servers > 0 ? request.servers - spare : serversFor(given);
  const perServer = figuresOf(given, Math.ceil(demand.connections / (active ?? 1)));
  const bounds = boundsOf(given, perServer);
  const servers = active === null ? null : active + spare;
  return {
    schema: "megagate.plan.v1",
    demand,
    machine,
    evidence: evidence
      ? {
          path: evidence.path,
          startedAt: evidence.measured.startedAt ?? null,
          verdict: evidence.measured.verdict ?? null,
        }
      : null,
    servers,
    spare,
    fits: bounds.every((bound) => bound.fits),
    bounds,
    perServer,
    fleet: servers !== null && servers > 1 ? fleetOf(given, servers) : null,
    constants: origins,
  };
}

function refuseContradictions({ demand, servers, spare, machine }: PlanRequest): void {
  const faults: string[] = [];
  if (demand.topics < demand.subscriptions) {
    faults.push(
      `--subscriptions ${demand.subscriptions}: a connection cannot have more topics than there are (--topics ${demand.topics})`,
    );
  }
  if (demand.topics > demand.connections * demand.subscriptions) {
    const max = demand.connections * demand.subscriptions;
    faults.push(
      `--topics ${demand.topics}: ${demand.connections} connections with ${demand.subscriptions} each cannot want more than ${max}`,
    );
  }
  if (servers > 0 && spare >= servers)
    faults.push(`--spare-servers ${spare}: of --servers ${servers}, one must be left`);
  if (demand.clientsHere && servers !== 1)
    faults.push("--clients-here: clients share one machine, so --servers must be 1");
  if (machine.nofile < MIN_NOFILE) {
    faults.push(
      `a descriptor limit of ${machine.nofile} is too low for a worker: raise it (ulimit -Hn), or name the server's with --nofile`,
    );
  }
  if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
}

/** What every Linux gives a process without asking; fewer would be thousands of workers. */
const MIN_NOFILE = 1024;

function fleetOf(given: Given, servers: number): Fleet {
  const { connections } = given.demand;
  const usual = figuresOf(given, Math.ceil(connections / servers));
  const extra = Math.ceil(usual.connections / (servers - 1));
  const free = Math.max(0.1, 1 - usual.cpu.total / given.machine.cores);
  return {
    usualConnections: usual.connections,
    extraConnections: extra,
    returnSeconds: extra / (usual.times.reconnectPerSecond * free),
    rollingRestartSeconds: servers * (usual.times.drainSeconds + usual.times.windowSeconds),
  };
}
