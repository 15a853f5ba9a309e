/**
 * Every metric once: name, type, help and labels. The scrape, the dashboards' test and the README derive from it.
 * Rows with `slot` come from workers: each worker counts in a flat Float64Array at that index and pushes the array to
 * the hub once a second; the hub adds them up. Runs in the hub (rows) and in workers (slots only).
 */

/** How a worker's number combines with the others': counters and gauges add up, `max` keeps the worst. */
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

/** Why a connection closed, as `megagate_closed_total{reason}`. */
export const CLOSE_REASONS = {
  client: "the client sent a close frame",
  abnormal:
    "ended without a close frame that uWebSockets knows: the client vanished, broke framing rules, or gave a code of 1012–1014 or 3000–3999",
  idle: "nothing was received for the idle timeout, not even a pong",
  protocol: "invalid UTF-8 or another violation that uWebSockets names, cut without a close frame",
  too_big: "a message over the limit (1009), or over the native limit (cut)",
  flood: "more messages and pings in a second than --max-requests-per-second allows (1008)",
  slow: "read slower than it was sent to",
  drain: "the gateway was stopping (1012)",
  restart: "its worker was replaced in a rolling restart (1012)",
  worker_lost: "its worker process died",
} as const;
export type CloseReason = keyof typeof CLOSE_REASONS;

/** Why a handshake was refused, as `megagate_refused_total{reason}`. */
export const REFUSE_REASONS = {
  not_upgrade: "plain HTTP on the WebSocket path (426)",
  bad_handshake: "malformed handshake (400)",
  bad_version: "WebSocket version other than 13 (426)",
  not_found: "unknown path (404)",
  bad_method: "another method than its path answers (405)",
  bad_host: "a Host, or X-Forwarded-… of a trusted proxy, that is no host, path or scheme (400)",
  broken: "garbage, half a handshake or a silent peer, answered 505 or cut by uWebSockets itself",
  bad_topic: "topics in the URL malformed or too many (400)",
  full: "every worker at its cap (503)",
  draining: "the gateway was stopping (503)",
  total_limit: "--max-connections reached (503)",
  memory: "more would reach into the memory floor, by the model (503)",
  address_limit: "--connections-per-address reached (429)",
  storm: "so many came at once that this one would have waited too long (503)",
} as const;
export type RefuseReason = keyof typeof REFUSE_REASONS;

/** What became of tickets of `GET /bcall/url`, as `megagate_tickets_total{event}`. */
export const TICKET_EVENTS = {
  given: "in a storm a client was given a start time",
  valid: "and came in its time while others were refused",
  early: "came too early, and was treated like one without",
  expired: "came too late, likewise",
  forged: "not signed by this gateway, likewise",
} as const;

/** What became of messages that a slow reader's full buffer could not take, as `megagate_unsent_messages_total{reason}`. */
export const UNSENT_REASONS = {
  disconnect: "the reader was cut, because it had not caught up with a topic whose policy is disconnect",
  conflate: "superseded: the reader was sent a newer push of the same key instead",
  drop: "skipped: the reader was told the range of offsets",
  reset: "older than what is remembered when the reader could take more: it was sent the state instead",
  closed: "the connection or the subscription ended before the reader could take more",
  answer: "answers to requests of a client that does not read them: it was cut",
} as const;
export type UnsentReason = keyof typeof UNSENT_REASONS;

/** What never reached a route of the admin port, or whose answer never reached its client, as `megagate_admin_refused_total{reason}`. */
export const ADMIN_REFUSE_REASONS = {
  connections: "more connections than --admin-connections (503)",
  malformed: "not HTTP, or a broken body (400)",
  head_too_big: "a head above 16 KiB (431)",
  too_slow: "the head did not come in --admin-head-seconds (408)",
  foreign_page: "a web page of another site asked, by its Origin or Sec-Fetch-Site (403)",
  foreign_host: "a Host that is neither an address nor localhost nor of --admin-hostnames (403)",
  unread:
    "an answer was not taken in --admin-answer-seconds, or was the one that waited longest when --admin-answer-bytes were reached (cut)",
  pipelined: "more than 100 requests of one connection waited for their answers (cut)",
} as const;
export type AdminRefuseReason = keyof typeof ADMIN_REFUSE_REASONS;

const counter = (name: string, help: string): WorkerMetric => ({ name, type: "counter", help, combine: "sum" });
const gauge = (name: string, help: string, combine: Combine = "sum"): WorkerMetric => ({
  name,
  type: "gauge",
  help,
  combine,
});

function labelled<R extends string, P extends string>(
  prefix: P,
  name: string,
  help: string,
  reasons: Readonly<Record<R, string>>,
  label = "reason",
): Record<`${P}_${R}`, WorkerMetric> {
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
  ...labelled("closed", "megagate_closed_total", "WebSocket connections closed, by reason.", CLOSE_REASONS),
  ...labelled("refused", "megagate_refused_total", "Handshakes refused, by reason.", REFUSE_REASONS),
  ...labelled(
    "ticket",
    "megagate_tickets_total",
    "Tickets of GET /bcall/url in storms: given, and what became of those shown while others were refused.",
    TICKET_EVENTS,
    "event",
  ),
  storms: gauge("megagate_workers_in_storm", "Workers that refuse handshakes or are near it, or were 5 s ago."),
  messagesIn: counter("megagate_messages_in_total", "Messages received from clients."),
  bytesIn: counter("megagate_bytes_in_total", "Payload bytes received from clients."),
  messagesOut: counter("megagate_messages_out_total", "Messages handed to sockets: answers and pushes."),
  bytesOut: counter("megagate_bytes_out_total", "Payload bytes handed to sockets: answers and pushes."),
  pushes: counter(
    "megagate_pushes_total",
    "Pushes handed to sockets: one publication to a thousand subscribers is a thousand.",
  ),
  ...labelled(
    "unsent",
    "megagate_unsent_messages_total",
    "Messages that a slow reader did not get, by what became of them.",
    UNSENT_REASONS,
  ),
  ...labelled("unsentBytes", "megagate_unsent_bytes_total", "Payload bytes of those.", UNSENT_REASONS),
  heartbeats: counter("megagate_heartbeats_total", "Heartbeats answered."),
  errorsAnswered: counter("megagate_errors_answered_total", "Client requests answered with an error code."),
  subscriptions: gauge("megagate_subscriptions", "Live subscriptions: one socket on two topics is two."),
  parked: gauge(
    "megagate_parked_connections",
    "Connections that are being sent a large answer or missed pushes, at their own pace.",
  ),
  slowReaders: gauge(
    "megagate_slow_readers",
    "Connections among them whose buffer was full when a push came; GET /slow-readers names the worst.",
  ),
  slowReadersCaughtUp: counter(
    "megagate_slow_readers_caught_up_total",
    "Slow readers that have caught up, each as its topics' policies allow, and are sent pushes as they come again.",
  ),
  recoveries: counter("megagate_recoveries_total", "Subscriptions that continued where they left off."),
  recoveriesFailed: counter(
    "megagate_recoveries_failed_total",
    "Subscriptions that asked to continue and could not: answered with recovered:false and the state.",
  ),
  workerTopics: gauge("megagate_worker_topics", "Topic replicas held, summed over workers."),
  workerTopicMemory: gauge(
    "megagate_worker_topic_memory_bytes",
    "What replicas remember, by their own account, summed over workers.",
  ),
  waitingSubscribers: gauge(
    "megagate_waiting_subscribers",
    "Subscribers that wait for the hub to describe a topic, or for an offset that they have seen elsewhere.",
  ),
  topicsUnserved: counter(
    "megagate_topics_unserved_total",
    "Topics that a worker followed and the hub did not serve: found by comparing, and asked for again. Should be 0.",
  ),
  staleSyncs: counter(
    "megagate_stale_topic_answers_total",
    "Answers of the hub to a request that a later one had replaced; they were not used.",
  ),
  linkLost: counter("megagate_hub_link_lost_total", "Times that a worker lost its link to the hub."),
  unknownFrames: counter("megagate_unknown_frames_total", "Frames between processes that were not understood."),
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

/** What the hub process knows by itself. */
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
    help: "Connections at which each limit will stop the gateway, as `megagate doctor` names them; worker-caps is what the workers that run now hold. Unknown ones are left out.",
    labels: ["limit"],
  },
  headroom: {
    name: "megagate_headroom_connections",
    type: "gauge",
    help: "Connections that each of these limits still leaves room for; 0 where it is passed.",
    labels: ["limit"],
  },
  limitEvents: {
    name: "megagate_limit_events_total",
    type: "counter",
    help: "Looks, one a second, that found a limit at work: something was dropped, refused or late because of it. The log names it with its numbers and the remedy.",
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
    help: "Workers that have said nothing to the supervisor for 5 s or more: busy with a long broadcast, stopped or deadlocked. GET /readyz names them.",
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
    help: "Handshakes a second that the gateway can sustain, as measured while it was busy with them: storms and drains go by it.",
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
    help: "What topics remember in the hub, by its own account.",
  },
  topicMemoryLimit: {
    name: "megagate_topic_memory_limit_bytes",
    type: "gauge",
    help: "What they may remember (--topic-memory-bytes). Followed topics alone above it lose history first, and their states cannot grow.",
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
    help: "Topics that somebody follows and nobody has published to; they have an account of their own.",
  },
  topicsRenumbered: {
    name: "megagate_topics_renumbered_total",
    type: "counter",
    help: "Topics numbered again because a worker claimed a later offset than the hub gave out. A fault of Megagate: should be 0.",
  },
  idempotencyIds: {
    name: "megagate_idempotency_ids",
    type: "gauge",
    help: "Ids of publications that are remembered; the same id again is answered with its first position.",
  },
  idempotencyBytes: {
    name: "megagate_idempotency_bytes",
    type: "gauge",
    help: "What they take, by the hub's own account.",
  },
  logBytes: {
    name: "megagate_log_bytes",
    type: "gauge",
    help: "Bytes of the log of topics, in memory files or in --state-dir.",
  },
  logImages: {
    name: "megagate_log_writes_images",
    type: "gauge",
    help: "1 while the log goes over to another file and writes what every topic remembers.",
  },
  logInMemory: {
    name: "megagate_log_failed",
    type: "gauge",
    help: "1 while the log cannot be written where it should be: a restart would lose what topics remember. The log says why.",
  },
  logFailures: {
    name: "megagate_log_write_failures_total",
    type: "counter",
    help: "Writes to the log that failed or came short.",
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
    help: "Connections and requests on the admin port that never reached a route, and answers that were not taken, by reason.",
    labels: ["reason"],
  },
  queueBytes: {
    name: "megagate_hub_queue_bytes",
    type: "gauge",
    help: "Bytes queued in the hub towards one worker.",
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
    help: "The same over the idle base, for each connection.",
    labels: ["kind"],
  },
  buildInfo: {
    name: "megagate_build_info",
    type: "gauge",
    help: "Constant 1, with versions as labels.",
    labels: ["version", "node", "uws"],
  },
} as const satisfies Record<string, Metric>;

/** Every distinct metric of ours, by name: a labelled one has many slots and one name. */
export const METRICS: ReadonlyMap<string, Metric> = new Map(
  [...Object.values(WORKER_METRICS), ...Object.values(HUB_METRICS)].map((metric) => [metric.name, metric]),
);
