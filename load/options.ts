/**
 * The option table of `megagate load`. Flags, environment names, help and README rows derive from it (src/config/help.ts).
 * Runs in the command line only: generators get a plain configuration from the coordinator (generator/messages.ts).
 */
import { ADMIN_KEY_FILE, ADMIN_URL, CLIENT_URL } from "../src/config/gateway-address.js";
import { bytes, type ConfigOf, flag, text, url, whole } from "../src/config/table.js";

export const LOAD_OPTIONS = {
  target: {
    ...url({
      default: CLIENT_URL.default,
      schemes: ["ws:"],
      range: "ws://HOST[:PORT][/PATH]",
      explanation:
        "The gateway's WebSocket address, to which the topic is added as a query; when not given, from MEGAGATE_HOST and MEGAGATE_PORT",
    }),
    derive: CLIENT_URL.derive,
  },
  adminUrl: {
    ...ADMIN_URL,
    explanation: `The gateway's admin address, where broadcasts are published and its own count is read; ${ADMIN_URL.explanation.split("; ")[1]!}`,
  },
  adminKeyFile: ADMIN_KEY_FILE,
  connections: whole({
    default: 10_000,
    min: 1,
    max: 20_000_000,
    unit: "connections",
    explanation: "WebSockets to open and hold at the same time",
  }),
  rate: whole({
    default: 0,
    min: 0,
    max: 1_000_000,
    unit: "connections/s",
    explanation: "Connections begun a second, over all generators; 0 is as fast as possible",
  }),
  inFlight: whole({
    default: 0,
    min: 0,
    max: 1_000_000,
    unit: "connections",
    explanation:
      "Connections begun and not open yet, over all generators; 0 derives it from the gateway's listen queues",
  }),
  connectTimeoutSeconds: whole({
    default: 20,
    min: 1,
    max: 600,
    unit: "seconds",
    explanation: "An attempt that is not open after this time has failed",
  }),
  topic: text({
    default: "load",
    unit: "topic",
    range: "one topic name; {n} in it is the connection's number",
    pattern: /^(?!.*\{n\}.*\{n\})(?:[A-Za-z0-9_-]|\{n\})+(?:[.:/](?:[A-Za-z0-9_-]|\{n\})+)*$/,
    explanation:
      "The topic that every connection follows and broadcasts are published to; user:{n} gives each its own, and a broadcast is then one publication to each, which no other connection may receive",
  }),
  holdSeconds: whole({
    default: 30,
    min: 0,
    max: 86_400,
    unit: "seconds",
    explanation: "How long all connections are held before the broadcasts",
  }),
  heartbeatsPerConnection: whole({
    default: 1,
    min: 0,
    max: 1000,
    unit: "heartbeats",
    explanation: "Heartbeats that each connection sends, spread over the hold; each must be answered",
  }),
  broadcasts: whole({
    default: 3,
    min: 0,
    max: 1000,
    unit: "broadcasts",
    explanation:
      "Publications to all connections after the hold, one after the other; each must reach every connection",
  }),
  broadcastMessages: whole({
    default: 1,
    min: 1,
    max: 10_000,
    unit: "publications",
    explanation: "Publications of each broadcast, sent in one request: more than one measures throughput",
  }),
  broadcastBytes: whole({
    default: 100,
    min: 80,
    max: 12_000,
    unit: "bytes",
    explanation: "Size of a broadcast's data, as JSON",
  }),
  memoryFloor: bytes({
    default: 1e9,
    min: 3e8,
    max: 1e12,
    explanation: "The run is refused, or stopped, before free memory and page cache together fall below this value",
  }),
  timeLimitSeconds: whole({
    default: 900,
    min: 5,
    max: 604_800,
    unit: "seconds",
    explanation: "Time limit of the whole run; beyond it the run stops in an orderly way and has not held",
  }),
  report: text({
    default: "load/results/latest.json",
    unit: "path",
    range: "a file path",
    pattern: /./,
    explanation: "Where the evidence is written, as JSON",
  }),
  generators: whole({
    default: 0,
    min: 0,
    max: 10_000,
    unit: "processes",
    explanation: "Processes that hold the client ends; 0 derives it from the descriptor limit",
  }),
  sourceAddresses: text({
    default: "auto",
    unit: "addresses",
    range: "auto, or IPv4 addresses separated by commas",
    pattern: /^\d+\.\d+\.\d+\.\d+(?:,\d+\.\d+\.\d+\.\d+)*$/,
    explanation:
      "Local addresses to connect from, each of which has one range of ports; auto takes as many of 127.0.0.0/8 as the run needs when the target is loopback",
  }),
  strict: flag({
    default: false,
    explanation:
      "Times count for the verdict too, such as a scrape of over a second; without it, counts and losses alone decide, and times are only reported",
  }),
  force: flag({
    default: false,
    explanation:
      "Open as many as possible, instead of refusing a run that the plan says cannot succeed: shows which limit stops it, and where",
  }),
} as const;

export type LoadConfig = ConfigOf<typeof LOAD_OPTIONS>;
