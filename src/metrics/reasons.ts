/**
 * The values of the label `reason` (and `event`) of the metrics, each with what it means: why a connection closed, why a handshake or
 * an admin request was refused, what became of a message or a ticket. The README's tables derive from it. They are public: a value
 * must not be renamed. Hub and worker processes.
 */

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
  expired: "its token expired (4100)",
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
  foreign_origin: "a web page of an origin that --allowed-origins does not name (403)",
  broken: "garbage, half a handshake or a silent peer, answered 505 or cut by uWebSockets itself",
  bad_topic: "topics in the URL malformed or too many (400)",
  no_token: "no token, where --auth-… files give keys (401)",
  bad_token: "a token that is malformed, not for this gateway, or not signed by its keys (401)",
  expired_token: "an expired token (401)",
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
  given: "a client got a ticket with a start time, in a storm",
  valid: "used in its time, while handshakes without a ticket were refused",
  early: "used too early: treated like no ticket",
  expired: "used too late: treated like no ticket",
  forged: "not signed by this gateway: treated like no ticket",
} as const;

/** What became of messages that a slow reader's full buffer could not take, as `megagate_unsent_messages_total{reason}`. */
export const UNSENT_REASONS = {
  disconnect: "the reader was disconnected, because it had not caught up with a topic whose policy is disconnect",
  conflate: "superseded: the reader was sent a newer push of the same key instead",
  drop: "skipped: the reader was sent the range of offsets",
  reset: "older than what is remembered when the reader could take more: it was sent the state instead",
  closed: "the connection or the subscription ended before the reader could take more",
  answer: "answers to requests of a client that does not read them: it was disconnected",
} as const;
export type UnsentReason = keyof typeof UNSENT_REASONS;

/** Why a request never reached a route of the admin port, or its answer never reached the client, as `megagate_admin_refused_total{reason}`. */
export const ADMIN_REFUSE_REASONS = {
  connections: "more connections than --admin-connections (503)",
  malformed: "not HTTP, or a broken body (400)",
  head_too_big: "a head above 16 KiB (431)",
  too_slow: "the head did not come in --admin-head-seconds (408)",
  foreign_page: "a web page of another site asked, by its Origin or Sec-Fetch-Site (403)",
  foreign_host: "a Host that is neither an address nor localhost nor of --admin-hostnames (403)",
  no_key: "no key, or two, where --admin-keys-file asks for one (401)",
  wrong_key: "a key that is not in --admin-keys-file, or was removed while its request went on (401, or cut)",
  missing_scope: "a key without the scope of the route (403)",
  unread:
    "an answer was not taken in --admin-answer-seconds, or was the one that waited longest when --admin-answer-bytes were reached (cut)",
  pipelined: "more than 100 requests of one connection waited for their answers (cut)",
} as const;
export type AdminRefuseReason = keyof typeof ADMIN_REFUSE_REASONS;
