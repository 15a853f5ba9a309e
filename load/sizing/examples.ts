/**
 * The two worked plans: 10 million connections on one server, 100 million on many. Pure: values for options that were not
 * given. The traffic is that of published runs of this size: 512 bytes a minute to each client, one topic for a thousand
 * clients. Runs in the command line.
 */
import { CLIENT_PORTS } from "./demand.js";
import type { Example, PlanConfig } from "./options.js";
import { planOf, type SizingPlan, type SizingRequest } from "./plan.js";

type Values = Omit<PlanConfig, "example" | "evidence" | "explain" | "json">;

const TEN_MILLION: Values = {
  connections: 10_000_000,
  topics: 10_000,
  subscriptions: 1,
  messageBytes: 512,
  perMinute: 1,
  tls: false,
  heartbeatSeconds: 0,
  stalledPercent: 5,
  servers: 1,
  spareServers: 0,
  cores: 32,
  memoryBytes: 128e9,
  nofile: 1_048_576,
  nicGbit: 10,
  clientsHere: false,
};

export const EXAMPLES: Readonly<Record<Example, Values>> = {
  "10m": TEN_MILLION,
  "100m": {
    ...TEN_MILLION,
    connections: 100_000_000,
    topics: 100_000,
    tls: true,
    servers: 0,
    spareServers: 1,
    cores: 32,
    memoryBytes: 128e9,
    nicGbit: 10,
  },
};

/** A request from finished option values. */
export function requestOf(
  values: Values & { readonly tasks?: number },
  evidence: SizingRequest["evidence"],
  portsPerAddress: number,
): SizingRequest {
  const { connections, topics, subscriptions, messageBytes, perMinute, tls, heartbeatSeconds, stalledPercent } = values;
  const { servers, spareServers, cores, memoryBytes, nofile, nicGbit, clientsHere } = values;
  return {
    demand: {
      connections,
      topics,
      subscriptions,
      messageBytes,
      perMinute,
      tls,
      heartbeatSeconds,
      stalledPercent,
      clientsHere,
    },
    machine: {
      cores,
      memoryBytes,
      nofile,
      nicGbit,
      portsPerAddress,
      ...(values.tasks !== undefined && { tasks: values.tasks }),
    },
    servers,
    spare: spareServers,
    evidence,
  };
}

/** With the shipped constants, as in the README. */
export const workedPlan = (example: Example): SizingPlan =>
  planOf(requestOf(EXAMPLES[example], undefined, CLIENT_PORTS));
