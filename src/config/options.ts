/**
 * Every option of `megagate serve`, once. Flags, MEGAGATE_* names, file keys, help, the README's table and the types of
 * the configuration derive from it (table.ts). A value outside its range stops the start, and the message gives the range.
 */
import { isProxyList } from "../admission/client-address.js";
import { isPatternList, MAX_PATTERNS } from "../admission/grants.js";
import { ALGORITHMS } from "../admission/keys.js";
import { isOriginList } from "../admission/origins.js";
import { RULES_PATTERN, SLOW_POLICIES } from "../topics/rules.js";
import { MAX_WORKERS } from "./capacity.js";
import { canonicalHost, isHostAddress } from "./host-address.js";
import { bytes, type ConfigOf, choice, flag, text, whole } from "./table.js";

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

const HOSTNAMES = /^[\w-]+(?:\.[\w-]+)*(?: *, *[\w-]+(?:\.[\w-]+)*)*$/;

export const SERVE_OPTIONS = {
  host: text({
    default: "127.0.0.1",
    unit: "address",
    range: "an IPv4 or IPv6 address; 0.0.0.0 for every interface, :: for every interface with IPv6 too",
    pattern: { test: isHostAddress },
    canonical: canonicalHost,
    explanation:
      "Address that clients connect to. Any other than this machine's own (127.…, ::1) needs keys to authenticate clients, or --allow-anonymous",
  }),
  port: whole({
    default: 8080,
    min: 0,
    max: 65_535,
    unit: "port",
    explanation: "Public port; 0 takes a free one and prints it",
  }),
  adminHost: text({
    default: "127.0.0.1",
    unit: "IPv4",
    range: "an IPv4 address",
    pattern: IPV4,
    explanation:
      "Address of the private admin port. Outside loopback it needs --admin-keys-file, and a network that nobody reads: keys travel unencrypted",
  }),
  adminPort: whole({
    default: 8081,
    min: 0,
    max: 65_535,
    unit: "port",
    explanation: "Private port for publishing, metrics and health; 0 takes a free one and prints it",
  }),
  adminHostnames: text({
    default: "",
    unit: "names",
    range: "host names, joined by commas",
    pattern: HOSTNAMES,
    explanation:
      "Names under which tools reach the admin port, such as megagate in a Compose file; addresses and localhost need none. Any other Host is refused, so that no web page can get in by a name of its own",
  }),
  adminKeysFile: text({
    default: "",
    unit: "path",
    range: "a file, a key a line: NAME SCOPES KEY, or sha256:DIGEST in place of KEY",
    explanation:
      "Keys that the admin port asks for, each with its scopes, of publish, read and operate, joined by commas; /healthz and /readyz need none. Read again on SIGHUP and when it changes; when not set, no key is needed, which is allowed on loopback only",
  }),
  publicUrl: text({
    default: "",
    unit: "URL",
    range: "a ws:// or wss:// URL",
    pattern: /^wss?:\/\/[^\s"]+$/,
    explanation:
      "WebSocket address that GET /bcall/url answers, where no trusted proxy gives X-Forwarded-Host; when not set, it is built from the Host header",
  }),
  allowedOrigins: text({
    default: "",
    unit: "origins",
    range:
      "origins without a path (https://example.com, https://*.example.com, http://localhost:3000), joined by commas",
    pattern: { test: isOriginList },
    explanation:
      "Web pages that may connect, by the Origin that browsers send; * stands for one label. Others get 403 and cannot read plain answers. When not set, every page may connect. Programs that send no Origin are not asked",
  }),
  trustedProxies: text({
    default: "",
    unit: "addresses",
    range: "addresses and networks (10.0.0.0/8), joined by commas",
    pattern: { test: isProxyList },
    explanation:
      "Proxies whose X-Forwarded-For, -Proto, -Host and -Prefix are believed: by them addresses are limited and GET /bcall/url answers; from anybody else they are ignored",
  }),
  authSecretFile: text({
    default: "",
    unit: "path",
    range: "a file",
    explanation:
      "File whose bytes, without a line break at the end, are the secret of HS256 tokens, at least 32. With it or one of the next two every client needs a token; the files are read again when the workers are replaced (SIGHUP)",
  }),
  authPublicKeyFile: text({
    default: "",
    unit: "path",
    range: "a PEM file",
    explanation:
      "File with public keys or certificates of token issuers, as PEM, one after the other: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA)",
  }),
  authJwksFile: text({
    default: "",
    unit: "path",
    range: "a JWKS file",
    explanation:
      "File with such public keys as a JSON Web Key Set; a token's kid names the one that it is verified with",
  }),
  authIssuer: text({
    default: "",
    unit: "text",
    range: "1–1,000 characters",
    pattern: /^.{1,1000}$/su,
    explanation: "The iss that tokens must have; none accepts any whose signature is right",
  }),
  authAudience: text({
    default: "",
    unit: "names",
    range: "names, joined by commas",
    pattern: /^[^,\s]+(?: *, *[^,\s]+)*$/,
    explanation: "Names of which a token's aud must have one; none does not look at aud",
  }),
  authAlgorithms: text({
    default: "",
    unit: "names",
    range: `${ALGORITHMS.join(", ")}, joined by commas`,
    pattern: { test: (list) => list.split(",").every((name) => ALGORITHMS.some((known) => known === name.trim())) },
    explanation: "Algorithms that tokens may use, fewer than there are keys for; none takes those of the keys",
  }),
  authClockSkewSeconds: whole({
    default: 5,
    min: 0,
    max: 300,
    unit: "seconds",
    explanation:
      "How far the clock of the issuer may differ: so long a token is accepted after its exp and before its nbf",
  }),
  authDefaultTopics: text({
    default: "",
    unit: "patterns",
    range: `patterns such as news, user:{sub} or call:*, joined by commas, at most ${MAX_PATTERNS}`,
    pattern: { test: isPatternList },
    explanation: "Topics that a token without the claim megagate may follow; none lets it follow nothing",
  }),
  allowAnonymous: flag({
    default: false,
    explanation: "Everybody who reaches --host may follow every topic, although it is not this machine alone",
  }),
  connections: whole({
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    unit: "connections",
    explanation: "Connections to provide for; decides the number of workers where descriptors are short",
  }),
  workers: whole({
    default: 0,
    min: 0,
    max: MAX_WORKERS,
    unit: "processes",
    explanation: "Worker processes; 0 computes them from the connections, the cores and the descriptor limit",
  }),
  workerConnections: whole({
    default: 0,
    min: 0,
    max: 10_000_000,
    unit: "connections",
    explanation:
      "Cap of one worker, at which it stops listening until it has room; 0 takes the descriptor limit less a reserve",
  }),
  maxConnections: whole({
    default: 0,
    min: 0,
    max: 100_000_000,
    unit: "connections",
    explanation:
      "Most connections of the whole gateway, each worker holding its even part; 0 is what the workers can hold together",
  }),
  connectionsPerAddress: whole({
    default: 0,
    min: 0,
    max: 10_000_000,
    unit: "connections",
    explanation:
      "Connections that one client address, or one /64 of IPv6, may hold, over all workers; a burst within a quarter of a second may get some more. " +
      "0 sets no limit. Behind a proxy give --trusted-proxies, or all are one address",
  }),
  memoryFloorBytes: bytes({
    default: 67_108_864,
    min: 0,
    max: 1_099_511_627_776,
    explanation:
      "Memory of the machine or the control group that connections leave free, by the model of 5,040 bytes each; 0 sets no floor",
  }),
  acceptRate: whole({
    default: 0,
    min: 0,
    max: 1_000_000,
    unit: "handshakes/s",
    explanation:
      "Handshakes a second that the whole gateway takes; 0 measures what it can sustain, and refuses only who would wait too long",
  }),
  handshakeWaitSeconds: whole({
    default: 8,
    min: 1,
    max: 10,
    unit: "seconds",
    explanation:
      "In a storm, who would wait longer than this for the handshake gets 503 with Retry-After; uWebSockets cuts it after 10",
  }),
  backlog: whole({
    default: 65_535,
    min: 1,
    max: 65_535,
    unit: "connections",
    explanation: "Accept queue of each worker; the kernel cuts it to net.core.somaxconn",
  }),
  idleTimeoutSeconds: whole({
    default: 120,
    min: 32,
    max: 960,
    also: [0],
    unit: "seconds",
    explanation:
      "A connection that sends nothing for so long is closed; it is pinged 16 s before. With --trusted-proxies it is 60 where it is not given: proxies cut what is silent for 60 s. 0 never pings and never closes",
  }),
  maxMessageBytes: bytes({
    default: 2048,
    min: 64,
    max: 8192,
    explanation: "Greatest message from a client; a longer one closes its connection with 1009",
  }),
  maxTopicsPerConnection: whole({
    default: 32,
    min: 1,
    max: 1000,
    unit: "topics",
    explanation: "Greatest number of topics of one connection",
  }),
  maxRequestsPerSecond: whole({
    default: 100,
    min: 1,
    max: 1_000_000,
    also: [0],
    unit: "messages",
    explanation:
      "Messages and pings that one connection may send in a second, besides one for each of its " +
      "--max-topics-per-connection; one that sends more is closed with 1008. 0 sets no limit",
  }),
  heartbeatText: text({
    default: "ping",
    unit: "text",
    range: "1–64 characters",
    pattern: /^.{1,64}$/su,
    explanation: "A message with exactly this text is a heartbeat, like the JSON one",
  }),
  heartbeatAnswer: text({
    default: "pong",
    unit: "text",
    range: "1–64 characters",
    pattern: /^.{1,64}$/su,
    explanation: "The answer to it",
  }),
  maxBackpressureBytes: bytes({
    default: 32_768,
    min: 1024,
    max: 1_048_576,
    explanation: "Unsent bytes that one connection may pile up in the worker before it is treated as a slow reader",
  }),
  maxPublicationBytes: bytes({
    default: 12_288,
    min: 64,
    max: 14_000,
    explanation: "Greatest publication, as JSON text of its data; under the 16 KiB to which uWebSockets batches",
  }),
  historyCount: whole({
    default: 100,
    min: 0,
    max: 1_000_000,
    unit: "publications",
    explanation: "Publications of a topic that are kept for clients that come back; 0 keeps none",
  }),
  historyBytes: bytes({
    default: 65_536,
    min: 0,
    max: 1_073_741_824,
    explanation: "Bytes of them that are kept at most",
  }),
  historySeconds: whole({
    default: 300,
    min: 1,
    max: 31_536_000,
    unit: "seconds",
    explanation: "Their greatest age",
  }),
  stateKeys: whole({
    default: 10_000,
    min: 0,
    max: 10_000_000,
    unit: "keys",
    explanation:
      "Keys of a topic whose last value is kept; a publication that would add one more is refused; 0 keeps none",
  }),
  slowReaders: choice({
    default: "disconnect",
    choices: SLOW_POLICIES,
    explanation:
      "What becomes of a reader whose buffer is full when a push comes: it is cut, after --slow-reader-grace-ms; or gets " +
      "the newest push of each key, and all without one, when it can; or goes on with the present and gets a message that says what it missed",
  }),
  slowReaderGraceMs: whole({
    default: 5000,
    min: 0,
    max: 600_000,
    unit: "milliseconds",
    explanation:
      "With disconnect: time for a slow reader to catch up from the topic's history before it is cut, looked at once a " +
      "second; it is cut earlier when the history no longer has what it missed. 0 cuts it at once. Also the time in which " +
      "any reader must take the next 16 KiB of an answer or history that it asked for, 2 s at least",
  }),
  topicRules: text({
    default: "",
    unit: "rules",
    range: "PREFIX:NAME=VALUE,…;… with the names history, bytes, seconds, keys, slow",
    pattern: RULES_PATTERN,
    explanation:
      "Other values of these five for topics of a prefix, such as user:history=0,keys=0;exts:keys=50000,slow=conflate",
  }),
  topicMemoryBytes: bytes({
    default: 0,
    min: 1_048_576,
    max: 1_099_511_627_776,
    also: [0],
    explanation:
      "What topics remember in all, in the hub and again in each worker; 0 takes 1,280 bytes for each of --connections, at " +
      "least 256 MiB. Beyond it the hub forgets the topics that nobody follows, then shortens the longest histories; states of " +
      "followed topics are never dropped: what would make them grow is refused",
  }),
  idempotencyBytes: bytes({
    default: 67_108_864,
    min: 0,
    max: 17_179_869_184,
    explanation:
      "What the ids of publications may take in the hub, some 250 bytes each; the oldest are forgotten beyond it, and all " +
      "after 10 minutes",
  }),
  hubQueueBytes: bytes({
    default: 16_777_216,
    min: 65_536,
    max: 1_073_741_824,
    explanation: "Bytes that the hub queues towards one worker before it cuts the link and lets the worker resync",
  }),
  topicLingerSeconds: whole({
    default: 30,
    min: 0,
    max: 86_400,
    unit: "seconds",
    explanation: "How long a worker keeps following a topic after its last subscriber left",
  }),
  maxIdleTopics: whole({
    default: 10_000,
    min: 0,
    max: 10_000_000,
    unit: "topics",
    explanation:
      "Topics without subscribers that a worker keeps following meanwhile; beyond it the longest idle go first",
  }),
  adminConnections: whole({
    default: 1000,
    min: 10,
    max: 10_000,
    unit: "connections",
    explanation: "Connections on the admin port; one more is answered 503, and idle ones are closed to make room",
  }),
  adminHeadSeconds: whole({
    default: 10,
    min: 1,
    max: 300,
    unit: "seconds",
    explanation: "Time for the head of a request on the admin port; a slower one is answered 408",
  }),
  adminAnswerSeconds: whole({
    default: 30,
    min: 1,
    max: 3600,
    unit: "seconds",
    explanation: "Time for a client of the admin port to take an answer; the connection of a slower one is cut",
  }),
  adminAnswerBytes: bytes({
    default: 33_554_432,
    min: 4_194_304,
    max: 4_294_967_296,
    explanation:
      "Bytes of answers on the admin port that clients have not taken, in all; beyond it the one that has waited longest is cut",
  }),
  publishBodySeconds: whole({
    default: 30,
    min: 1,
    max: 3600,
    unit: "seconds",
    explanation:
      "Time for the body of a publication or an array; a slower one is answered 408. A stream of lines has no limit",
  }),
  publishBufferBytes: bytes({
    default: 67_108_864,
    min: 8_388_608,
    max: 4_294_967_296,
    explanation:
      "Bytes of unfinished publications and arrays that the hub holds in all; one that would need more is answered 503",
  }),
  // Saying goodbye to 200,000 took 5.6 s on 2 cores shared with the clients: a million fits into a minute.
  stopSeconds: whole({
    default: 60,
    min: 1,
    max: 3600,
    unit: "seconds",
    explanation:
      "After SIGTERM all clients are sent away, at the rate at which they can be taken back; what is still open after this time is cut. A worker that is replaced has the same time",
  }),
  stopNoticeSeconds: whole({
    default: 0,
    min: 0,
    max: 600,
    unit: "seconds",
    explanation:
      "After SIGTERM the gateway serves on for this time while /readyz answers 503, so that load balancers notice",
  }),
  hungSeconds: whole({
    default: 120,
    min: 2,
    max: 3600,
    also: [0],
    unit: "seconds",
    explanation:
      "A worker or hub process that is silent for this time is ended and replaced, even if it uses the CPU, as a long broadcast does; " +
      "one that uses none is after 20 s (or this, if shorter). 0 ends none, such as under a debugger",
  }),
  stateDir: text({
    default: "",
    unit: "path",
    range: "a folder",
    explanation:
      "Folder on a local disk for the log of what topics remember, so that the next start goes on; when not set, the log stays in " +
      "memory, where it outlives the hub process and ends with the gateway",
  }),
  stateSync: choice({
    default: "second",
    choices: ["none", "second", "each"],
    explanation:
      "When the log in --state-dir is forced to the disk, which matters when the machine itself fails: never, once a second, " +
      "or before each answer",
  }),
  runDir: text({
    default: "",
    unit: "path",
    range: "a folder",
    explanation: "Folder for the private socket between hub and workers; when not set, a temporary one is made",
  }),
  dev: flag({
    default: false,
    explanation:
      "For trying out: the example page is served at / of the public port, and the gateway is small, with two workers for 1,000 connections unless --connections or --workers is given",
  }),
  logLevel: choice({
    default: "info",
    choices: ["debug", "info", "warn", "error", "silent"],
    explanation: "Least serious log lines that are written, to stderr",
  }),
  logFormat: choice({
    default: "auto",
    choices: ["auto", "text", "json"],
    explanation: "auto writes text to a terminal and JSON lines elsewhere",
  }),
} as const;

export type ServeConfig = ConfigOf<typeof SERVE_OPTIONS>;
