/**
 * The one table of everything that can be refused, answered or closed with (close codes are here), and the one error class.
 * A reply to a client, an HTTP refusal, a close frame and an exit status are four columns of one row, so that a fault
 * has the same name wherever it surfaces. Runs in every process; imports nothing.
 *
 * Code ranges tell a peer what to do next without knowing the row:
 *   4000–4099 answered, the connection stays        4100–4199 closed: come back at once
 *   4200–4299 closed: come back within the window   4300–4399 closed: do not come back
 * Close codes below 3000 are RFC 6455's own (§7.4.1) and keep their meaning.
 */

/** What a client should do after this fault: nothing, reconnect now, reconnect in the given window, or stay away. */
export type Retry = "stay" | "now" | "window" | "never";

interface Row {
  /** Code in a JSON reply: `{"code":4002,"error":"…"}`. */
  readonly code: number;
  /** HTTP status where the fault meets an HTTP request. */
  readonly http: number;
  /** WebSocket close code; absent where the connection stays open or uWebSockets cuts it without a frame. */
  readonly close?: number;
  /** Exit status of the command line, where the fault ends a command. */
  readonly exit?: number;
  readonly retry: Retry;
  readonly text: string;
}

export const ERRORS = {
  badJson: { code: 4000, http: 400, retry: "stay", text: "not a JSON object" },
  badRequest: { code: 4001, http: 400, retry: "stay", text: "not a request of megagate.v1" },
  badTopic: { code: 4002, http: 400, retry: "stay", text: "not a topic name" },
  tooManyTopics: { code: 4003, http: 400, retry: "stay", text: "too many topics on one connection" },
  binaryMessage: { code: 4004, http: 400, retry: "stay", text: "binary messages are not part of megagate.v1" },
  notSubscribed: { code: 4005, http: 400, retry: "stay", text: "not subscribed to this topic" },
  hubUnavailable: { code: 4006, http: 503, retry: "stay", text: "the hub is away; ask again in a few seconds" },
  publicationTooBig: { code: 4007, http: 413, retry: "stay", text: "publication too big" },
  stateFull: { code: 4008, http: 507, retry: "stay", text: "the topic's keyed state is full" },
  publishersBusy: { code: 4009, http: 503, retry: "stay", text: "too many unfinished publications at once" },
  unsubscribed: { code: 4019, http: 409, retry: "stay", text: "unsubscribed before this request was answered" },
  upgradeRequired: { code: 4010, http: 426, retry: "stay", text: "this path speaks WebSocket only" },
  badHandshake: { code: 4011, http: 400, retry: "stay", text: "malformed WebSocket handshake" },
  badVersion: { code: 4012, http: 426, retry: "stay", text: "only WebSocket version 13 is spoken here" },
  notFound: { code: 4013, http: 404, retry: "stay", text: "no such path" },
  badMethod: { code: 4014, http: 405, retry: "stay", text: "method not allowed" },
  badMediaType: { code: 4015, http: 415, retry: "stay", text: "unsupported content type" },
  alreadyRolling: { code: 4017, http: 409, retry: "stay", text: "a rolling restart is running already" },
  namesFull: {
    code: 4018,
    http: 503,
    retry: "stay",
    text: "too many topics are followed that nobody has published to",
  },
  bodyTooSlow: { code: 4016, http: 408, retry: "stay", text: "the body did not come in time" },
  foreignPage: { code: 4027, http: 403, retry: "stay", text: "the admin port does not answer web pages of others" },
  foreignHost: { code: 4028, http: 403, retry: "stay", text: "the admin port does not answer under this name" },
  topicRefused: { code: 4029, http: 403, retry: "stay", text: "the token does not allow this topic" },
  tokenExpired: {
    code: 4100,
    http: 401,
    close: 4100,
    retry: "now",
    text: "the token has expired; come back with a new one",
  },
  keyNeeded: { code: 4031, http: 401, retry: "stay", text: "the admin port asks for a key that it knows" },
  keyLacksScope: { code: 4032, http: 403, retry: "stay", text: "the key does not have the scope of this request" },
  full: { code: 4200, http: 503, close: 1013, retry: "window", text: "every worker is at its connection cap" },
  draining: { code: 4201, http: 503, close: 1012, retry: "window", text: "the gateway is stopping" },
  restarting: { code: 4203, http: 503, close: 1012, retry: "window", text: "this worker is being replaced" },
  slowReader: { code: 4202, http: 503, retry: "window", text: "reads slower than it is sent to" },
  addressLimit: { code: 4210, http: 429, retry: "window", text: "too many connections from this address" },
  totalLimit: { code: 4211, http: 503, retry: "window", text: "the gateway holds as many connections as it may" },
  memoryLimit: {
    code: 4212,
    http: 503,
    retry: "window",
    text: "the gateway's memory is set aside for those connected",
  },
  storm: { code: 4213, http: 503, retry: "window", text: "too many clients come at once" },
  messageTooBig: { code: 4300, http: 413, close: 1009, retry: "never", text: "message too big" },
  tooManyRequests: { code: 4301, http: 429, close: 1008, retry: "never", text: "too many requests in a second" },
  tokenMissing: {
    code: 4302,
    http: 401,
    retry: "never",
    text: "a token is needed: Authorization: Bearer TOKEN, or Sec-WebSocket-Protocol: megagate.v1, bearer.TOKEN; never in the URL",
  },
  badToken: { code: 4303, http: 401, retry: "never", text: "the token is not accepted" },
  foreignOrigin: { code: 4304, http: 403, retry: "never", text: "web pages of this origin may not connect" },
  usage: { code: 4020, http: 400, exit: 2, retry: "never", text: "bad usage" },
  config: { code: 4021, http: 400, exit: 2, retry: "never", text: "bad configuration" },
  platform: { code: 4022, http: 500, exit: 2, retry: "never", text: "this machine cannot run megagate" },
  refused: { code: 4023, http: 500, exit: 3, retry: "never", text: "cannot succeed on this machine" },
  unreachable: { code: 4024, http: 502, exit: 1, retry: "never", text: "target unreachable" },
  interrupted: { code: 4026, http: 503, exit: 130, retry: "never", text: "interrupted" },
  failed: { code: 4025, http: 500, exit: 1, retry: "never", text: "did not hold" },
} as const satisfies Record<string, Row>;

export type ErrorName = keyof typeof ERRORS;

/** A fault of a peer, a user or the machine, by its row. Programmer mistakes throw plain errors instead. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";

  constructor(
    readonly kind: ErrorName,
    /** Plain words: what is wrong and the remedy. */
    readonly detail: string = ERRORS[kind].text,
    /** Further fields of the answer, such as how much was done before. */
    readonly fields: Readonly<Record<string, number>> = {},
  ) {
    super(detail);
  }

  get row(): Row {
    return ERRORS[this.kind];
  }

  /** The JSON text that answers a client or an HTTP request. */
  toJSON(): { code: number; error: string } & Readonly<Record<string, number | string>> {
    return { code: this.row.code, error: this.detail, ...this.fields };
  }
}
