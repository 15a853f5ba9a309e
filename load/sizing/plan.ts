/**
 * A whole plan: how many servers, what each must have, what bounds it first, and what the failure or rolling restart of one
 * server requires of the others. Pure; runs in the command line. `megagate plan --json` prints it as it is, so its field names
 * are public (megagate.plan.v1).
 */
import { GatewayError } from "../../src/errors.js";
import { type Bound, boundsOf, serversFor } from "./bounds.js";
import type { Demand, ServerMachine } from "./demand.js";
import type { MeasuredFile } from "./measured.js";
import { type Origin, settle } from "./settle.js";
import { type Figures, figuresOf, type Given } from "./sums.js";

export interface SizingRequest {
  readonly demand: Demand;
  readonly machine: ServerMachine;
  /** 0 computes them. */
  readonly servers: number;
  /** How many of these may be down while the others carry all connections. */
  readonly spare: number;
  readonly evidence: MeasuredFile | undefined;
}

/** Many servers, of which one fails or restarts: its connections reconnect to the others. */
export interface ServerFleet {
  /** Connections of each server while all are up. */
  readonly usualConnections: number;
  /** Additional connections of each other server when one fails. */
  readonly extraConnections: number;
  /** Until they are back, with the CPU time that the usual traffic leaves free. */
  readonly returnSeconds: number;
  /** One server after the other, each with its goodbye and its window. */
  readonly rollingRestartSeconds: number;
}

export interface SizingPlan {
  readonly schema: "megagate.plan.v1";
  readonly demand: Demand;
  readonly machine: ServerMachine;
  readonly evidence: {
    readonly path: string;
    readonly startedAt: string | null;
    readonly verdict: string | null;
  } | null;
  /** Null when no number of such servers is enough. */
  readonly servers: number | null;
  readonly spare: number;
  readonly fits: boolean;
  /** In the order of connections: the first bound that a growing server reaches is the first. */
  readonly bounds: readonly Bound[];
  /** One server, with the spare ones down. */
  readonly perServer: Figures;
  readonly fleet: ServerFleet | null;
  readonly constants: readonly Origin[];
}

/** Throws `config` where the request contradicts itself. */
export function planOf(request: SizingRequest): SizingPlan {
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

function refuseContradictions({ demand, servers, spare, machine }: SizingRequest): void {
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

/** The default soft limit of every Linux; with less, a plan would need thousands of workers. */
const MIN_NOFILE = 1024;

function fleetOf(given: Given, servers: number): ServerFleet {
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
