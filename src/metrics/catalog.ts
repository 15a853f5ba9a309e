/**
 * Every metric once: name, type, help and labels. The scrape, the dashboards' test and the README derive from it.
 * `WORKER_METRICS` come from workers: each row has an index in a flat Float64Array, in which the worker counts and which it
 * sends to the hub once a second; the hub adds them up. Runs in the hub (rows) and in workers (indexes only).
 */
import { CLOSE_REASONS, REFUSE_REASONS, TICKET_EVENTS, UNSENT_REASONS } from "./reasons.js";

/** How the values of several workers combine: they add up, or the greatest counts. */
export type Combine = "sum" | "max";

export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface WorkerMetric extends Metric {
  readonly combine: Combine;
  /** Label values of this slot, where the metric has labels. */
  readonly values?: Readonly<Record<string, string>>;
}

const counter = (name: string, help: string): WorkerMetric => ({ name, type: "counter", help, combine: "sum" });
const gauge = (name: string, help: string, combine: Combine = "sum"): WorkerMetric => ({
  name,
  type: "gauge",
  help,
  combine,
});

interface LabelledMetric<R extends string, P extends string> {
  /** Of the slot names; the reason follows. */
  readonly prefix: P;
  readonly name: string;
  readonly help: string;
  readonly reasons: Readonly<Record<R, string>>;
  readonly label?: string;
}

/** One counter with a label, as one slot for each of its values. */
function labelled<R extends string, P extends string>(metric: LabelledMetric<R, P>): Record<`${P}_${R}`, WorkerMetric> {
  const { prefix, name, help, reasons, label = "reason" } = metric;
  const rows = Object.keys(reasons).map((reason) => [
    `${prefix}_${reason}`,
    { name, type: "counter", help, labels: [label], values: { [label]: reason }, combine: "sum" },
  ]);
  return Object.fromEntries(rows) as Record<`${P}_${R}`, WorkerMetric>;
}

/** Slot name → metric. The order is the order of the flat array, the same in every process of one build. */
export const WORKER_METRICS = {
  connections: gauge("megagate_connections", "Live WebSocket connections."),
  handshakes: gauge("megagate_handshakes_in_flight", "TCP connections accepted and not yet upgraded or refused."),
  waiting: gauge(
    "megagate_handshakes_waiting",
    "Handshakes among them that wait for a busy worker, and not for their client.",
  ),
  listening: gauge("megagate_workers_listening", "Workers that accept connections now (one at its cap does not)."),
  accepted: counter("megagate_accepted_total", "WebSocket connections opened."),
  ...labelled({
    prefix: "closed",
    name: "megagate_closed_total",
    help: "WebSocket connections closed, by reason.",
    reasons: CLOSE_REASONS,
  }),
  ...labelled({
    prefix: "refused",
    name: "megagate_refused_total",
    help: "Handshakes refused, by reason.",
    reasons: REFUSE_REASONS,
  }),
  ...labelled({
    prefix: "ticket",
    name: "megagate_tickets_total",
    help: "Tickets of GET /bcall/url in storms: given, and what became of those used while handshakes without one were refused.",
    reasons: TICKET_EVENTS,
    label: "event",
  }),
  storms: gauge("megagate_workers_in_storm", "Workers that refuse handshakes or are near it, or were 5 s ago."),
  messagesIn: counter("megagate_messages_in_total", "Messages received from clients."),
  bytesIn: counter("megagate_bytes_in_total", "Payload bytes received from clients."),
  messagesOut: counter("megagate_messages_out_total", "Messages written to sockets: answers and pushes."),
  bytesOut: counter("megagate_bytes_out_total", "Payload bytes written to sockets: answers and pushes."),
  pushes: counter(
    "megagate_pushes_total",
    "Pushes written to sockets: one publication to a thousand subscribers is a thousand.",
  ),
  ...labelled({
    prefix: "unsent",
    name: "megagate_unsent_messages_total",
    help: "Messages that a slow reader did not get, by what became of them.",
    reasons: UNSENT_REASONS,
  }),
  ...labelled({
    prefix: "unsentBytes",
    name: "megagate_unsent_bytes_total",
    help: "Payload bytes of those.",
    reasons: UNSENT_REASONS,
  }),
  heartbeats: counter("megagate_heartbeats_total", "Heartbeats answered."),
  errorsAnswered: counter("megagate_errors_answered_total", "Client requests answered with an error code."),
  subscriptions: gauge("megagate_subscriptions", "Live subscriptions: one socket on two topics is two."),
  parked: gauge(
    "megagate_parked_connections",
    "Connections that are being sent a large answer or missed pushes, as fast as they read.",
  ),
  slowReaders: gauge(
    "megagate_slow_readers",
    "Connections among them whose buffer was full when a push came; GET /slow-readers names the worst.",
  ),
  slowReadersCaughtUp: counter(
    "megagate_slow_readers_caught_up_total",
    "Slow readers that have caught up, as far as their topics' policies allow, and get live pushes again.",
  ),
  recoveries: counter("megagate_recoveries_total", "Subscriptions that continued where they left off."),
  recoveriesFailed: counter(
    "megagate_recoveries_failed_total",
    "Subscriptions that asked to continue and could not: answered with recovered:false and the state.",
  ),
  workerTopics: gauge("megagate_worker_topics", "Topic replicas held, summed over workers."),
  workerTopicMemory: gauge(
    "megagate_worker_topic_memory_bytes",
    "Bytes that replicas remember, as estimated by the workers, summed over them.",
  ),
  waitingSubscribers: gauge(
    "megagate_waiting_subscribers",
    "Subscribers that wait for the hub's answer about a topic, or for an offset that another worker gave them.",
  ),
  topicsUnserved: counter(
    "megagate_topics_unserved_total",
    "Topics that a worker followed and the hub did not serve: found by comparison, and asked for again. Should be 0.",
  ),
  staleSyncs: counter(
    "megagate_stale_topic_answers_total",
    "Answers of the hub to a request that a later one had replaced; they were not used.",
  ),
  linkLost: counter("megagate_hub_link_lost_total", "Times that a worker lost its link to the hub."),
  unknownFrames: counter("megagate_unknown_frames_total", "Frames between processes of an unknown type."),
  busySeconds: counter(
    "megagate_worker_event_loop_busy_seconds_total",
    "Time in which the workers' event loops did not sleep, summed over workers.",
  ),
  loopLagMax: gauge(
    "megagate_worker_event_loop_lag_seconds",
    "Worst event-loop delay of any worker in its last second.",
    "max",
  ),
} as const satisfies Record<string, WorkerMetric>;

export type SlotName = keyof typeof WORKER_METRICS;
export const SLOT_NAMES = Object.keys(WORKER_METRICS) as SlotName[];
/** Slot name → index in the flat array. */
export const SLOT = Object.fromEntries(SLOT_NAMES.map((name, i) => [name, i])) as Readonly<Record<SlotName, number>>;

/** Measured by the hub process itself. */
export const HUB_METRICS = {
  workerConnections: {
    name: "megagate_worker_connections",
    type: "gauge",
    help: "Live WebSocket connections of one worker.",
    labels: ["worker"],
  },
  connectionsCap: {
    name: "megagate_connections_cap",
    type: "gauge",
    help: "Connections that all workers may hold together, and the limit that decides it: descriptors, epoll-watches, file-max or worker-connections.",
    labels: ["limit"],
  },
  ceiling: {
    name: "megagate_ceiling_connections",
    type: "gauge",
    help: "Connections at which each limit will stop the gateway, as `megagate doctor` names them; worker-caps is what the workers that run now may hold. Unknown ones are left out.",
    labels: ["limit"],
  },
  headroom: {
    name: "megagate_headroom_connections",
    type: "gauge",
    help: "Connections that each of these limits still allows; 0 if it is exceeded.",
    labels: ["limit"],
  },
  limitEvents: {
    name: "megagate_limit_events_total",
    type: "counter",
    help: "Samples, one a second, that found a limit in effect: something was dropped, refused or late because of it. The log names it with its numbers and the remedy.",
    labels: ["limit"],
  },
  workers: { name: "megagate_workers", type: "gauge", help: "Workers linked to the hub." },
  workersExpected: {
    name: "megagate_workers_expected",
    type: "gauge",
    help: "Workers that the configuration asks for.",
  },
  workersSilent: {
    name: "megagate_workers_silent",
    type: "gauge",
    help: "Workers that have sent nothing to the supervisor for 5 s or more: busy with a long broadcast, stopped or deadlocked. GET /readyz names them.",
  },
  hungEnded: {
    name: "megagate_hung_processes_ended_total",
    type: "counter",
    help: "Processes that the supervisor ended because they hung: silent without using CPU time for 20 s, or for --hung-seconds.",
    labels: ["role"],
  },
  workerRestarts: {
    name: "megagate_worker_restarts_total",
    type: "counter",
    help: "Workers restarted after they died.",
  },
  acceptRate: {
    name: "megagate_accept_rate_budget",
    type: "gauge",
    help: "Handshakes a second that the gateway can sustain, as measured while it was busy with them: it limits storms and drains.",
  },
  workerRolls: {
    name: "megagate_worker_rolls_total",
    type: "counter",
    help: "Workers replaced by rolling restarts.",
  },
  topics: { name: "megagate_topics", type: "gauge", help: "Topics that the hub numbers." },
  topicMemory: {
    name: "megagate_topic_memory_bytes",
    type: "gauge",
    help: "Bytes that topics remember in the hub, as it estimates them.",
  },
  topicMemoryLimit: {
    name: "megagate_topic_memory_limit_bytes",
    type: "gauge",
    help: "Bytes that they may remember (--topic-memory-bytes). If followed topics alone exceed it, they lose history first, and their states cannot grow.",
  },
  topicsEvicted: {
    name: "megagate_topics_evicted_total",
    type: "counter",
    help: "Topics that nobody followed, forgotten because of --topic-memory-bytes; they come back with a new epoch.",
  },
  topicHistoriesShortened: {
    name: "megagate_topic_histories_shortened_total",
    type: "counter",
    help: "Histories shortened because of --topic-memory-bytes; clients that come back late get the state instead.",
  },
  topicStatesRefused: {
    name: "megagate_topic_states_refused_total",
    type: "counter",
    help: "Publications refused because the state of followed topics fills --topic-memory-bytes.",
  },
  topicsUnpublished: {
    name: "megagate_topics_unpublished",
    type: "gauge",
    help: "Topics that somebody follows and nobody has published to; their bytes are counted apart.",
  },
  topicsRenumbered: {
    name: "megagate_topics_renumbered_total",
    type: "counter",
    help: "Topics numbered again because a worker claimed a later offset than the hub gave out. A fault of Megagate: should be 0.",
  },
  idempotencyIds: {
    name: "megagate_idempotency_ids",
    type: "gauge",
    help: "Ids of publications that are remembered; a repeated id is answered with its first position.",
  },
  idempotencyBytes: {
    name: "megagate_idempotency_bytes",
    type: "gauge",
    help: "Bytes that they take, as the hub estimates them.",
  },
  logBytes: {
    name: "megagate_log_bytes",
    type: "gauge",
    help: "Bytes of the log of topics, in memory files or in --state-dir.",
  },
  logImages: {
    name: "megagate_log_writes_images",
    type: "gauge",
    help: "1 while the log switches to another file and writes what every topic remembers.",
  },
  logInMemory: {
    name: "megagate_log_failed",
    type: "gauge",
    help: "1 while the log cannot be written where it should be: a restart would lose what topics remember. The log says why.",
  },
  logFailures: {
    name: "megagate_log_write_failures_total",
    type: "counter",
    help: "Writes to the log that failed or were incomplete.",
  },
  logSlowWrites: {
    name: "megagate_log_slow_writes_total",
    type: "counter",
    help: "Writes to the log of over 100 ms, and syncs of over a second; publications waited for the former.",
  },
  publications: { name: "megagate_publications_total", type: "counter", help: "Publications accepted and numbered." },
  publicationBytes: { name: "megagate_publication_bytes_total", type: "counter", help: "Encoded bytes of those." },
  publishRefused: { name: "megagate_publish_refused_total", type: "counter", help: "Publish requests refused." },
  adminRefused: {
    name: "megagate_admin_refused_total",
    type: "counter",
    help: "Connections and requests on the admin port that never reached a route, and answers that were not read, by reason.",
    labels: ["reason"],
  },
  queueBytes: {
    name: "megagate_hub_queue_bytes",
    type: "gauge",
    help: "Bytes queued in the hub for one worker.",
    labels: ["worker"],
  },
  queueOverflows: {
    name: "megagate_hub_queue_overflows_total",
    type: "counter",
    help: "Worker links cut because their queue was full.",
  },
  memory: {
    name: "megagate_memory_bytes",
    type: "gauge",
    help: "Memory of the gateway: user = private memory of its processes, kernel = its sockets by the model of 4,040 bytes each.",
    labels: ["kind"],
  },
  memoryPerConnection: {
    name: "megagate_memory_per_connection_bytes",
    type: "gauge",
    help: "The same, above the idle base, for each connection.",
    labels: ["kind"],
  },
  buildInfo: {
    name: "megagate_build_info",
    type: "gauge",
    help: "Constant 1, with versions as labels.",
    labels: ["version", "node", "uws"],
  },
} as const satisfies Record<string, Metric>;

/** Every distinct metric of the gateway, by name: one with labels has many slots and one name. */
export const METRICS: ReadonlyMap<string, Metric> = new Map(
  [...Object.values(WORKER_METRICS), ...Object.values(HUB_METRICS)].map((metric) => [metric.name, metric]),
);
