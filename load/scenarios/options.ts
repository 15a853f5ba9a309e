/**
 * The option table of the scenarios. `megagate load` takes these and its own (load/options.ts); flags, environment names,
 * help and README rows derive from both in the same way. Runs in the command line only.
 */
import { USUAL_SLOW_READER } from "../../src/config/slow-cost.js";
import { bytes, type ConfigOf, choice, text, whole } from "../../src/config/table.js";
import { LOAD_OPTIONS } from "../options.js";
import { RECONNECT_POLICIES } from "../reconnects/steps.js";

export const SCENARIO_NAMES = ["steady", "storm", "churn", "slow", "drill", "restart", "soak"] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

const share = (row: { default: string; explanation: string }): ReturnType<typeof text> =>
  text({ ...row, unit: "share", range: "0.1%–100%", pattern: /^(?:100|[1-9]?\d(?:\.\d)?)%$/ });

/** "30%" → 0.3 */
export const shareOf = (given: string): number => Number(given.slice(0, -1)) / 100;

export const SCENARIO_OPTIONS = {
  scenario: choice({
    default: "steady",
    choices: SCENARIO_NAMES,
    explanation:
      "What happens to the open connections; may also be given without the flag: megagate load drill --kill 30%. steady is hold and broadcasts",
  }),
  reconnect: choice({
    default: "sdk",
    choices: RECONNECT_POLICIES,
    explanation:
      "How clients come back: as the SDK does (windows of goodbye and retry, close codes, Retry-After, random doubling pauses), after a fixed pause, or not at all",
  }),
  reconnectSeconds: whole({
    default: 5,
    min: 0,
    max: 3600,
    unit: "seconds",
    explanation: "The fixed pause of --reconnect naive",
  }),
  scenarioSeconds: whole({
    default: 60,
    min: 1,
    max: 604_800,
    unit: "seconds",
    explanation: "How long churn, slow and soak last; storm, drill and restart last until all connections are back",
  }),
  baselineSeconds: whole({
    default: 10,
    min: 1,
    max: 3600,
    unit: "seconds",
    explanation: "How long push latency and memory are measured before the scenario begins",
  }),
  cut: share({ default: "30%", explanation: "storm: the share of connections that is reset at once, by the clients" }),
  kill: share({
    default: "30%",
    explanation:
      "drill: the share of the gateway's worker processes that gets SIGKILL, at least one; on this host only",
  }),
  churnPerSecond: share({ default: "1%", explanation: "churn: the share of connections that leaves each second" }),
  slow: share({ default: "33.3%", explanation: "slow: the share of connections that stops reading" }),
  socketsPerTopic: whole({
    default: 100,
    min: 1,
    max: 20_000_000,
    unit: "connections",
    explanation: "Connections to each topic; the topics are --topic with a number behind it",
  }),
  publishRate: whole({
    default: 200,
    min: 0,
    max: 100_000,
    unit: "publications/s",
    explanation: "Publications a second during the whole scenario, one topic after the other",
  }),
  publishBytes: whole({
    default: 0,
    also: [0],
    min: 80,
    max: 12_000,
    unit: "bytes",
    explanation: "Size of their data, as JSON; 0 is 100, and 8,000 in slow, where buffers must fill",
  }),
  sampleSeconds: whole({
    default: 60,
    min: 1,
    max: 3600,
    unit: "seconds",
    explanation: "soak: time between two samples of memory, connections and latency",
  }),
  settleFactor: whole({
    default: 0,
    min: 0,
    max: 1000,
    unit: "times",
    explanation:
      "Bar: all are back and caught up within this many times the prediction (storm, drill); 0 is 3 in storm and 2 in drill",
  }),
  latencyFactor: whole({
    default: 3,
    min: 1,
    max: 1000,
    unit: "times",
    explanation:
      "Bar: the 99th percentile of push latency of undisturbed connections rises to at most this many times its baseline",
  }),
  latencyFloorMs: whole({
    default: 250,
    min: 0,
    max: 60_000,
    unit: "milliseconds",
    explanation: "Bar: a latency below this always passes",
  }),
  slowBytes: bytes({
    default: USUAL_SLOW_READER.user,
    min: 0,
    max: 1e9,
    explanation:
      "Bar: how much the gateway's own memory may grow for each connection that does not read (slow); the default is computed " +
      "from the default options of serve. 25 MB for each worker and for the hub are allowed in addition",
  }),
  growthPerHour: share({
    default: "5%",
    explanation: "Bar: growth of the gateway's memory per hour, as a share of its memory at the beginning (soak)",
  }),
} as const;

export const LOAD_AND_SCENARIO_OPTIONS = { ...LOAD_OPTIONS, ...SCENARIO_OPTIONS } as const;

export type ScenarioConfig = ConfigOf<typeof LOAD_AND_SCENARIO_OPTIONS>;
