/**
 * The option table of `megagate plan`. Flags, environment names, help and README rows derive from it (src/config/help.ts).
 * A zero for a part of the machine means this machine's.
 */
import { STALLED_SHARE } from "../../src/config/capacity.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { bytes, type ConfigOf, choice, flag, text, whole } from "../../src/config/table.js";

/** The value of --evidence that means "no file". */
export const SHIPPED = "shipped";

export const PLAN_OPTIONS = {
  example: choice({
    default: "none",
    choices: ["none", "10m", "100m"],
    explanation: "A worked plan: 10 million on one server, or 100 million on many; other options change it",
  }),
  connections: whole({
    default: 1_000_000,
    min: 1,
    max: 1_000_000_000,
    unit: "connections",
    explanation: "Connections to carry, over all servers",
  }),
  topics: whole({
    default: 1,
    min: 1,
    max: 1_000_000_000,
    unit: "topics",
    explanation:
      "Distinct topics: 1 when all connections get the same, as many as connections when each has a topic of its own",
  }),
  subscriptions: whole({
    default: 1,
    min: 1,
    max: 1000,
    unit: "topics",
    explanation: "Topics that each connection subscribes to",
  }),
  messageBytes: bytes({
    default: 100,
    min: 1,
    max: SERVE_OPTIONS.maxPublicationBytes.default,
    explanation: "Size of a publication's data, as JSON; its envelope is added",
  }),
  perMinute: whole({
    default: 1,
    min: 0,
    max: 1_000_000,
    unit: "messages",
    explanation: "Messages that each connection receives a minute, over all its topics",
  }),
  tls: flag({ default: false, explanation: "The server itself ends TLS" }),
  heartbeatSeconds: whole({
    default: 0,
    min: 0,
    max: 86_400,
    unit: "seconds",
    explanation: "How often each client sends a heartbeat; 0 is never: then the gateway pings",
  }),
  stalledPercent: whole({
    default: 100 * STALLED_SHARE,
    min: 0,
    max: 100,
    unit: "percent",
    explanation: "Readers that stall at the same moment, each with its queues full",
  }),
  servers: whole({
    default: 1,
    min: 0,
    max: 1_000_000,
    unit: "servers",
    explanation: "Servers of this kind; 0 computes how many are needed",
  }),
  spareServers: whole({
    default: 0,
    min: 0,
    max: 1000,
    unit: "servers",
    explanation: "Servers that may be down while the others carry everything",
  }),
  cores: whole({ default: 0, min: 0, max: 4096, unit: "cores", explanation: "Cores of a server; 0 is this machine's" }),
  memoryBytes: bytes({
    default: 0,
    min: 0,
    max: 1e15,
    explanation: "Memory of a server, such as 128GB; 0 is this machine's",
  }),
  nofile: whole({
    default: 0,
    min: 1024,
    max: 1_073_741_816,
    also: [0],
    unit: "descriptors",
    explanation: "Hard descriptor limit of one process; 0 is this machine's",
  }),
  nicGbit: whole({ default: 10, min: 1, max: 1000, unit: "Gbit/s", explanation: "Network card of a server" }),
  clientsHere: flag({
    default: false,
    explanation: "The clients share the machine, as in make million: both ends are counted",
  }),
  evidence: text({
    default: "load/results/latest.json",
    unit: "path",
    range: `a file that megagate load wrote, or ${SHIPPED}`,
    pattern: /./,
    explanation: `Your own measured constants; the shipped ones where the default file does not exist, or with ${SHIPPED}`,
  }),
  explain: flag({ default: false, explanation: "Show each line's formula, and where each constant is from" }),
  json: flag({ default: false, explanation: "Print the plan as JSON" }),
} as const;

export type PlanConfig = ConfigOf<typeof PLAN_OPTIONS>;
export type Example = Exclude<PlanConfig["example"], "none">;
