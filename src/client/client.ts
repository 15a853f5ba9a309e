/**
 * The client SDK, the package `megagate-client`: one connection to a gateway that reconnects by itself, and subscriptions that
 * report what they missed. Runs in browsers and in Node; imports nothing outside this folder. This file is the state machine
 * (drawn in events.ts): the present connection, and when the next one is tried.
 */
import { Address, NoAddress, type TimedAddress } from "./address.js";
import { adviceOf, Backoff, type Delay } from "./backoff.js";
import { Connection } from "./connection.js";
import { type Counts, noCounts } from "./counts.js";
import { type ClientEvents, type ClientState, Events } from "./events.js";
import { Feeds } from "./feeds.js";
import { PageWatch } from "./page.js";
import { parseMessage } from "./protocol.js";
import { type ClientOptions, type Settings, settingsOf } from "./settings.js";
import type { SubscribeOptions, Subscription } from "./subscription.js";
import { addressBytes, MAX_ADDRESS_BYTES } from "./url-topics.js";
import { Wakeup } from "./wakeup.js";

export type { Counts } from "./counts.js";
export type { Clock, Fetch, FetchResponse, Page, WebSocketConstructor, WebSocketLike } from "./environment.js";
export type { ClientEvents, ClientState } from "./events.js";
export type { ListenerErrors, ListenerFault } from "./listener-errors.js";
export type { Position } from "./protocol.js";
export type { ClientOptions } from "./settings.js";
export type { Gap, Push, Refused, Reset, SubscribeOptions, Subscription, TopicState } from "./subscription.js";

/** A request is repeated after one to three times this. */
const ASK_AGAIN_MS = 1000;
/** RFC 6455: ended without a close frame. */
const ABNORMAL = 1006;

interface Why {
  readonly code?: number;
  readonly reason: string;
}

export class MegagateClient {
  readonly counts: Counts = noCounts();
  readonly #settings: Settings;
  readonly #events: Events;
  readonly #feeds: Feeds;
  readonly #address: Address;
  /** The next step: `connecting` gives up, `open` asks again, `waiting` connects. */
  readonly #step: Wakeup;
  readonly #backoff: Backoff;
  readonly #page: PageWatch;
  #state: ClientState = "idle";
  #connection: Connection | undefined;
  /** Number of the attempt, to recognise an address that comes too late. */
  #attempt = 0;
  #openedMs = 0;
  /** As the page reports it. It may be wrong, and for good: so it only makes attempts rare. */
  #offline = false;
  /** While waiting: when the wait ends, and whether the gateway chose it. */
  #due = { atMs: 0, isFixed: false };

  constructor(options: ClientOptions) {
    this.#settings = settingsOf(options);
    const { onListenerError } = this.#settings;
    this.#events = new Events(onListenerError);
    this.#step = new Wakeup(this.#settings.clock);
    this.#backoff = new Backoff(this.#settings);
    this.#address = new Address(this.#settings);
    this.#feeds = new Feeds(this.counts, {
      topicsInUrl: this.#settings.topicsInUrl,
      onListenerError,
      now: () => this.#settings.clock.now(),
      send: (text) => this.#connection?.send(text),
      later: () => this.#askLater(),
      refused: (refusal) => this.#events.emit("error", refusal),
    });
    this.#page = new PageWatch(this.#settings.page, {
      woke: () => this.#checkNow(),
      cameOnline: () => {
        this.#offline = false;
        this.#checkNow();
      },
      wentOffline: () => {
        this.#offline = true;
        if (this.#state === "waiting") this.#setStep(Math.max(this.#due.atMs - this.#settings.clock.now(), 0));
      },
    });
  }

  get state(): ClientState {
    return this.#state;
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Connects if it is the first. Several subscriptions of one topic cost the gateway one. `T` names what publishers send to
   * this topic; nothing checks it: a program that does not trust its publishers leaves it `unknown` and checks the data itself.
   */
  subscribe<T = unknown>(topic: string, options: SubscribeOptions<T> = {}): Subscription<T> {
    if (this.#state === "closed") throw new Error("this client is closed; make a new one");
    const subscription = this.#feeds.follow(topic, options);
    if (this.#state === "idle") this.#connect();
    return subscription as Subscription<T>;
  }

  /** Closes the client for good; leaves no timer and no listener. */
  close(): void {
    if (this.#state === "closed") return;
    this.#connection?.close();
    this.#end({});
  }

  #connect(): void {
    this.#attempt += 1;
    this.#step.set(this.#settings.connectTimeoutMs, () => this.#giveUp("no connection in time"));
    this.#move("connecting", {});
    // A listener of "connecting" may have closed the client.
    if (this.#state !== "connecting") return;
    const url = this.#address.take();
    if (url === undefined) void this.#askAddress(this.#attempt);
    else this.#dial(url);
  }

  async #askAddress(attempt: number): Promise<void> {
    try {
      const address = await this.#address.ask();
      if (attempt === this.#attempt) this.#dialInTime(address);
    } catch (error) {
      if (attempt === this.#attempt) this.#noAddress(error);
    }
  }

  /** Now, or at the time that the gateway gave with the address. */
  #dialInTime(address: TimedAddress): void {
    if (address.afterMs === 0) {
      this.#dial(address.url);
      return;
    }
    this.#address.keep(address);
    this.#wait({ delayMs: address.afterMs, isFixed: true }, { reason: "the gateway has given it a later turn" });
  }

  #dial(address: string): void {
    const bytes = addressBytes(address);
    if (bytes > MAX_ADDRESS_BYTES) {
      const error = `the address has ${bytes} bytes: beyond ${MAX_ADDRESS_BYTES} a network may cut it in two, and the gateway answers that with 505`;
      this.#events.emit("error", { error });
      if (this.#state !== "connecting") return;
    }
    const { token } = this.#settings;
    if (typeof token === "function") void this.#askToken(token, address, this.#attempt);
    else this.#open(address, token);
  }

  async #askToken(token: () => string | Promise<string>, address: string, attempt: number): Promise<void> {
    try {
      const answer = await token();
      if (attempt === this.#attempt) this.#open(address, answer);
    } catch (error) {
      if (attempt === this.#attempt) this.#noAddress(error, "no token to connect with");
    }
  }

  #open(address: string, token: string | undefined): void {
    const url = this.#feeds.addressed(address);
    const { WebSocket, protocols } = this.#settings;
    const offered = token === undefined ? protocols : [...protocols, `bearer.${token}`];
    let socket: InstanceType<typeof WebSocket>;
    try {
      socket = new WebSocket(url, [...offered]);
    } catch (error) {
      this.#noAddress(error);
      return;
    }
    this.#connection = new Connection(socket, this.#settings, {
      opened: () => this.#opened(),
      received: (data) => this.#received(data),
      ended: ({ code, reason, byClient }) => this.#lost(code, reason, code === ABNORMAL && !byClient),
      isOverdue: () => this.#feeds.isOverdue(2 * this.#settings.answerTimeoutMs),
    });
  }

  #noAddress(error: unknown, reason = "no address to connect to"): void {
    const afterMs = error instanceof NoAddress ? error.retryAfterMs : undefined;
    // Retry-After has whole seconds: spread over one, so that clients with the same answer do not come at once.
    if (afterMs !== undefined) this.#backoff.setWindow([afterMs, afterMs + 1000]);
    this.#events.emit("error", { error: error instanceof Error ? error.message : String(error) });
    this.#giveUp(reason);
  }

  #giveUp(reason: string): void {
    if (this.#connection) this.#connection.drop(reason);
    else this.#lost(ABNORMAL, reason);
  }

  #opened(): void {
    this.#step.clear();
    this.#openedMs = this.#settings.clock.now();
    this.#offline = false;
    this.counts.connections += 1;
    this.#backoff.opened();
    this.#feeds.connected();
    this.#move("open", {});
  }

  #received(data: unknown): void {
    const message = parseMessage(data);
    switch (message.type) {
      case "goodbye": {
        const { reason, afterMs } = message;
        if (afterMs) this.#backoff.setWindow(afterMs);
        this.#events.emit("goodbye", { reason, afterMs });
        break;
      }
      case "retry":
        if (message.afterMs) this.#backoff.announced(message.afterMs);
        if (message.heartbeatMs && this.#settings.followsHeartbeat)
          this.#connection?.setHeartbeatMs(message.heartbeatMs);
        break;
      case "degraded":
      case "restored":
        this.#events.emit(message.type, {});
        break;
      case "other":
        this.counts.unknown += 1;
        break;
      case "done":
        break;
      default:
        this.#feeds.received(message);
    }
  }

  /** Only an open connection asks again, and nothing else uses the timer then. */
  #askLater(): void {
    if (!this.#step.isSet) {
      this.#step.set(ASK_AGAIN_MS * (1 + 2 * this.#settings.random()), () => this.#feeds.askAgain());
    }
  }

  #lost(code: number, reason: string, isAbnormal = false): void {
    if (this.#state === "closed") return;
    if (this.#state === "open") this.#backoff.ended(this.#settings.clock.now() - this.#openedMs, isAbnormal);
    this.#attempt += 1;
    this.#address.cancel();
    this.#connection = undefined;
    this.#feeds.disconnected();
    const advice = adviceOf(code);
    if (advice !== "never") {
      this.#wait(this.#backoff.next(advice), { code, reason });
      return;
    }
    this.#end({ code, reason });
    this.#events.emit("stopped", { code, reason });
  }

  #wait({ delayMs, isFixed }: Delay, why: Why): void {
    this.#due = { atMs: this.#settings.clock.now() + delayMs, isFixed };
    const setMs = this.#setStep(delayMs);
    this.#move("waiting", { delayMs: setMs, ...(this.#offline && { offline: true }), ...why });
  }

  /** While the page is offline, the delay is at least half of the cap. Returns the delay. */
  #setStep(minMs: number): number {
    const { capMs, random } = this.#settings;
    const delayMs = this.#offline ? Math.max(minMs, capMs * (1 - random() / 2)) : minMs;
    this.#step.set(delayMs, () => this.#connect());
    return delayMs;
  }

  /** The page woke: checks the connection, or ends a wait that the client chose; one that the gateway chose goes on. */
  #checkNow(): void {
    if (this.#state === "open") this.#connection?.check();
    if (this.#state !== "waiting") return;
    const delayMs = this.#due.isFixed ? Math.max(this.#due.atMs - this.#settings.clock.now(), 0) : 0;
    this.#step.set(delayMs, () => this.#connect());
  }

  #end(why: Partial<Why>): void {
    this.#attempt += 1;
    this.#address.cancel();
    this.#connection = undefined;
    this.#step.clear();
    this.#page.stop();
    this.#feeds.end();
    this.#move("closed", why);
  }

  #move(to: ClientState, details: Partial<Why> & { delayMs?: number; offline?: boolean }): void {
    const from = this.#state;
    this.#state = to;
    this.#events.emit("state", { from, to, ...details });
  }
}
