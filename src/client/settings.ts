/**
 * The client's options with their defaults. All times are milliseconds. What tests inject (`clock`, `random`, `page`) is
 * an option like the others.
 */
import type { AddressSettings } from "./address.js";
import type { BackoffSettings } from "./backoff.js";
import {
  CLOCK,
  type Clock,
  currentPage,
  type Fetch,
  globalFetch,
  globalWebSocket,
  type Page,
  type WebSocketConstructor,
} from "./environment.js";
import type { HeartbeatSettings } from "./heartbeat.js";
import { type ListenerErrors, reportListenerError } from "./listener-errors.js";
import { SUBPROTOCOL } from "./protocol.js";

export type Token = string | (() => string | Promise<string>);

export interface ClientOptions {
  /** Where to connect. A function is called before each attempt, for an address that changes. */
  readonly url?: string | (() => Promise<string>);
  /**
   * Instead of `url`: the gateway's `/bcall/url`, fetched before each connection; in a storm its answer has the client's turn.
   * In a page it may be relative.
   */
  readonly addressUrl?: string;
  /**
   * Whether the first topics are put into the address of a connection, instead of messages. Default true; false if the gateway
   * does not get the query.
   */
  readonly topicsInUrl?: boolean;
  /** Default: the global one, as in browsers. In Node 20 give the `ws` package's. */
  readonly WebSocket?: WebSocketConstructor;
  /** Fetches `addressUrl`. Default: the global one. */
  readonly fetch?: Fetch;
  readonly protocols?: readonly string[];
  /**
   * The token of a gateway that wants one, sent as a sub-protocol because browsers cannot set headers. A function is called
   * before each connection: when a token has expired, the gateway closes the connection, and the next one gets a new token.
   */
  readonly token?: Token;
  /**
   * Idle time before a heartbeat, shortened at random by up to a quarter. Default 25,000, or longer if a gateway with many
   * clients asks for it; a value given here is kept.
   */
  readonly heartbeatMs?: number;
  /** How long the client waits for a message after a heartbeat; for the answer to a subscription, twice as long. Default 10,000. */
  readonly answerTimeoutMs?: number;
  /** Default 30,000: in a storm of a million clients a gateway has a queue. */
  readonly connectTimeoutMs?: number;
  /** Longest first delay between attempts; it doubles. Default 1,000. */
  readonly baseMs?: number;
  /** Longest delay between attempts, unless the gateway chose it. Default 30,000. */
  readonly capMs?: number;
  /** How long a connection must last before the delays start again from the first. Default 10,000. */
  readonly stableMs?: number;
  /** Gets what a listener of yours throws. Default: as an uncaught exception in a page, on the console elsewhere. */
  readonly onListenerError?: ListenerErrors;
  readonly random?: () => number;
  readonly clock?: Clock;
  readonly page?: Page;
}

export interface Settings extends HeartbeatSettings, BackoffSettings, AddressSettings {
  readonly WebSocket: WebSocketConstructor;
  readonly protocols: readonly string[];
  readonly token: Token | undefined;
  readonly topicsInUrl: boolean;
  /** Whether the gateway may change `heartbeatMs`. */
  readonly followsHeartbeat: boolean;
  readonly connectTimeoutMs: number;
  readonly page: Page;
  readonly onListenerError: ListenerErrors;
}

/** Throws if there is no WebSocket constructor, or neither or both of `url` and `addressUrl`. */
export function settingsOf(options: ClientOptions): Settings {
  if ((options.url === undefined) === (options.addressUrl === undefined)) {
    throw new Error("give the client either `url`, where to connect, or `addressUrl`, where to ask for that");
  }
  return {
    url: options.url,
    addressUrl: options.addressUrl ?? "",
    fetch: options.fetch ?? globalFetch,
    topicsInUrl: options.topicsInUrl ?? true,
    WebSocket: options.WebSocket ?? globalWebSocket(),
    protocols: options.protocols ?? [SUBPROTOCOL],
    token: options.token,
    heartbeatMs: options.heartbeatMs ?? 25_000,
    followsHeartbeat: options.heartbeatMs === undefined,
    answerTimeoutMs: options.answerTimeoutMs ?? 10_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
    baseMs: options.baseMs ?? 1000,
    capMs: options.capMs ?? 30_000,
    stableMs: options.stableMs ?? 10_000,
    onListenerError: options.onListenerError ?? reportListenerError,
    random: options.random ?? Math.random,
    clock: options.clock ?? CLOCK,
    page: options.page ?? currentPage(),
  };
}
