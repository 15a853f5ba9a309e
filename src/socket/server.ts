/**
 * The edge of a worker: maps uWebSockets' events to the sessions, refuses requests that are not handshakes, answers the
 * few plain HTTP paths, and counts. Every plain answer closes its connection: this port is for WebSockets.
 * A connection costs no object here: `res.upgrade` gets one shared empty object as user data, or what its token allows, and,
 * where addresses are limited, the count of its address. uWebSockets copies it into the object of the socket, without its class.
 */
import type { AddressEntry } from "../admission/addresses.js";
import type { Admission, ConnectSlot } from "../admission/admission.js";
import type { Authentication } from "../admission/authentication.js";
import { type ClientAddress, clientAddress, TrustedProxies } from "../admission/client-address.js";
import { AllowedOrigins, ANY_PAGE, corsHeaders, refuseOrigin } from "../admission/origins.js";
import { type Refusal, refuseAddress, retryAfterMs } from "../admission/refusal.js";
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { CloseReason, RefuseReason } from "../metrics/reasons.js";
import { ADDRESS_PATH, HEALTH_PATH, SUBPROTOCOL, type SubscribeRequest, WEBSOCKET_PATH } from "../protocol/messages.js";
import type { UserData as SocketUserData } from "../protocol/socket.js";
import type { Sessions } from "../session/session.js";
import type { Listener } from "./listener.js";
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "./native.js";
import { loadPages, type PageConfig } from "./pages.js";
import { headerIfSent, headerLines, type PlainAnswer, preflight, READ_METHODS, writeAnswer } from "./plain.js";
import { type Forwarded, publicAddress } from "./public-address.js";
import { decideUpgrade, refusePlain } from "./upgrade.js";

/** Above it uWebSockets cuts the connection without a close frame; our own, lower limit closes with 1009. */
const NATIVE_MAX_PAYLOAD_BYTES = 8192;
const ALIVE = JSON.stringify({ status: "alive" });
const NO_STORE = { "Cache-Control": "no-store" };
/** The answer depends on the Host, and may hold a ticket, which is for one client. */
const ADDRESS_HEADERS = { ...NO_STORE, Vary: "Host" };

interface UserData extends SocketUserData {
  readonly addressEntry?: AddressEntry;
}
const NO_USER_DATA: UserData = Object.freeze({});

export type ServerConfig = PageConfig &
  Pick<
    ServeConfig,
    | "allowedOrigins"
    | "idleTimeoutSeconds"
    | "maxBackpressureBytes"
    | "maxTopicsPerConnection"
    | "publicUrl"
    | "trustedProxies"
  >;

export interface ServerOptions {
  readonly app: TemplatedApp;
  readonly listener: Listener;
  readonly sessions: Sessions;
  readonly admission: Admission;
  /** Undefined where clients are anonymous. */
  readonly authentication: Authentication | undefined;
  /** The last native subscriber of the topic left. */
  readonly topicEmptied: (topic: string) => void;
  readonly config: ServerConfig;
}

export class Server {
  draining = false;
  readonly #app: TemplatedApp;
  readonly #listener: Listener;
  readonly #sessions: Sessions;
  readonly #admission: Admission;
  readonly #authentication: Authentication | undefined;
  readonly #topicEmptied: (topic: string) => void;
  readonly #config: ServerConfig;
  readonly #proxies: TrustedProxies;
  /** Undefined where every page may connect. */
  readonly #origins: AllowedOrigins | undefined;
  /** Topics of the handshake that is being upgraded: `open` runs inside `res.upgrade`, so no user data is needed. */
  #opening: readonly SubscribeRequest[] = [];
  /** Plain HTTP answers whose connections have not reported their end yet. */
  #answered = 0;

  constructor({ app, listener, sessions, admission, authentication, topicEmptied, config }: ServerOptions) {
    this.#app = app;
    this.#listener = listener;
    this.#sessions = sessions;
    this.#admission = admission;
    this.#authentication = authentication;
    this.#topicEmptied = topicEmptied;
    this.#config = config;
    this.#proxies = new TrustedProxies(config.trustedProxies);
    this.#origins = config.allowedOrigins === "" ? undefined : new AllowedOrigins(config.allowedOrigins);
    this.#registerRoutes();
  }

  #registerRoutes(): void {
    const { idleTimeoutSeconds, maxBackpressureBytes } = this.#config;
    this.#app.ws<UserData>(WEBSOCKET_PATH, {
      maxPayloadLength: NATIVE_MAX_PAYLOAD_BYTES,
      maxBackpressure: maxBackpressureBytes,
      idleTimeout: idleTimeoutSeconds,
      // With 0 and automatic pings, uWebSockets would still ping and close after 250 s (src/README.md fact 8).
      sendPingsAutomatically: idleTimeoutSeconds !== 0,
      maxLifetime: 0,
      upgrade: (res, req, context) => this.#upgrade(res, req, context),
      open: (ws) => this.#sessions.opened(ws, this.#opening),
      message: (ws, message, isBinary) => this.#sessions.received(ws, Buffer.from(message), isBinary),
      ping: (ws) => this.#sessions.pinged(ws),
      pong: (ws) => this.#sessions.pinged(ws),
      drain: (ws) => this.#sessions.drained(ws),
      dropped: (ws, message) => this.#sessions.dropped(ws, new Uint8Array(message)),
      subscription: (_ws, topic, now, before) => this.#subscription(topic, now, before),
      close: (ws, code, reason) => this.#closed(ws, code, reason),
    });
    this.#app.any(WEBSOCKET_PATH, (res, req) => {
      const request = { upgrade: req.getHeader("upgrade"), method: req.getMethod() };
      this.#refuse(res, req, this.#refusalOfAll ?? refusePlain(request));
    });
    this.#routeRead(ADDRESS_PATH, (res, req) => this.#addressAnswer(res, req));
    // For load balancers that cannot reach the private port: it says only that this worker runs.
    this.#routeRead(HEALTH_PATH, () => ({ status: 200, body: ALIVE, headers: NO_STORE }));
    for (const { path, contentType, body } of loadPages(this.#config)) {
      const headers = { "Content-Type": contentType, "Cache-Control": "no-cache" };
      this.#routeRead(path, () => ({ status: 200, body, headers }));
    }
    const notFound: Refusal = { reason: "not_found", error: new GatewayError("notFound") };
    this.#app.any("/*", (res, req) => this.#refuse(res, req, notFound));
    this.#app.filter((_res, change) => this.#filter(Number(change)));
  }

  /** A path that answers GET, HEAD and a browser's preflight, and refuses any other method. */
  #routeRead(path: string, answer: (res: HttpResponse, req: HttpRequest) => PlainAnswer): void {
    const read = (res: HttpResponse, req: HttpRequest): void => this.#answer(res, req, answer(res, req));
    this.#app.get(path, read);
    this.#app.head(path, read);
    this.#app.options(path, (res, req) =>
      this.#answer(res, req, preflight(headerLines(req, "access-control-request-headers"))),
    );
    const error = new GatewayError("badMethod", `use GET ${path}`);
    const refusal: Refusal = { reason: "bad_method", error, headers: { Allow: READ_METHODS } };
    this.#app.any(path, (res, req) => this.#refuse(res, req, refusal));
  }

  /** +1 for every accepted connection, −1 for one that ends without having been upgraded. */
  #filter(change: number): void {
    counters[SLOT.handshakes]! += change;
    if (change > 0) {
      this.#listener.added();
      return;
    }
    this.#listener.removed();
    if (this.#answered > 0) this.#answered -= 1;
    else this.#count("broken");
    this.#boundAnswered();
  }

  /** All requests of a pipeline are answered, but their connection ends once. */
  #boundAnswered(): void {
    this.#answered = Math.min(this.#answered, counters[SLOT.handshakes]!);
  }

  /** The refusal that every handshake gets now, if any. */
  get #refusalOfAll(): Refusal | undefined {
    const isFull = this.#sessions.size >= this.#listener.cap || this.#listener.isOverCap;
    return this.#admission.refuseAll(this.draining, isFull);
  }

  /** A throw in here would abort the process (src/README.md fact 10). */
  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    try {
      const admission = this.#admission;
      // Read first: getQuery(name) decodes in place. Undefined where the address has no `?`, whatever the type says.
      const query = (req.getQuery() as string | undefined) ?? "";
      let refusal = this.#refusalOfAll;
      if (!refusal && admission.needsTicket) refusal = admission.checkTicket(req.getQuery("ticket"), monotonicMs());
      if (!refusal && this.#origins) refusal = refuseOrigin(this.#origins, headerIfSent(req, "origin"));
      if (refusal) {
        this.#refuse(res, req, refusal);
        return;
      }
      let protocols = req.getHeader("sec-websocket-protocol");
      // 2 µs, and rare but for tokens: the header may have further lines.
      if (protocols !== "" && (protocols !== SUBPROTOCOL || this.#authentication))
        protocols = headerLines(req, "sec-websocket-protocol");
      const authorization = this.#authentication && headerOnce(req, "authorization");
      const handshake = { version: req.getHeader("sec-websocket-version"), protocols, authorization, query };
      const decision = decideUpgrade(handshake, this.#config.maxTopicsPerConnection);
      if ("reason" in decision) {
        this.#refuse(res, req, decision);
        return;
      }
      const userData = this.#userData(res, req, decision.token);
      if ("reason" in userData) {
        this.#refuse(res, req, userData);
        return;
      }
      this.#opening = decision.topics;
      admission.admitted();
      counters[SLOT.handshakes]! -= 1;
      const key = req.getHeader("sec-websocket-key");
      res.upgrade(userData, key, decision.protocol, req.getHeader("sec-websocket-extensions"), context);
    } catch (error) {
      console.error("upgrade failed", error);
      res.close();
    }
  }

  /** The limit of the address comes before the token, whose verification costs more. */
  #userData(res: HttpResponse, req: HttpRequest, token: string | undefined): UserData | Refusal {
    const { addresses } = this.#admission;
    const addressEntry = addresses?.acquire(this.#client(res, req).address);
    if (addresses && !addressEntry) return refuseAddress(Math.random());
    const identity = this.#authentication?.authenticate(token, Date.now() / 1000);
    if (addressEntry && identity && "reason" in identity) addresses!.release(addressEntry);
    if (!addressEntry) return identity ?? NO_USER_DATA;
    return identity && "reason" in identity ? identity : { ...identity, addressEntry };
  }

  #client(res: HttpResponse, req: HttpRequest): ClientAddress {
    const peer = Buffer.from(res.getRemoteAddressAsText()).toString("latin1");
    return clientAddress(peer, () => headerLines(req, "x-forwarded-for"), this.#proxies);
  }

  #subscription(topic: ArrayBuffer, now: number, before: number): void {
    counters[SLOT.subscriptions]! += now - before;
    if (now === 0) this.#topicEmptied(Buffer.from(topic).toString("latin1"));
  }

  #closed(ws: WebSocket<UserData>, code: number, reason: ArrayBuffer): void {
    const { addresses } = this.#admission;
    const addressEntry = addresses && ws.getUserData().addressEntry;
    if (addressEntry) addresses.release(addressEntry);
    this.#sessions.closed(ws, closeReason(code, reason));
    // After a close frame uWebSockets waits until the peer closes. An invalid close frame is reported as 1006 without a text.
    this.#listener.removed(code !== 1006 || reason.byteLength === 0);
  }

  /** The WebSocket address for clients that ask before they connect; in a storm also when to use it. */
  #addressAnswer(res: HttpResponse, req: HttpRequest): PlainAnswer {
    const answer = (body: object): PlainAnswer => ({
      status: 200,
      body: JSON.stringify(body),
      headers: ADDRESS_HEADERS,
    });
    let data: string;
    try {
      const forwarded = this.#proxies.isEmpty || !this.#client(res, req).viaProxy ? undefined : forwardedBy(req);
      data = publicAddress({ host: headerLines(req, "host"), forwarded }, this.#config.publicUrl);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#count("bad_host");
      return { status: error.row.http, body: JSON.stringify(error), headers: ADDRESS_HEADERS };
    }
    const refusal = this.#refusalOfAll;
    // Status 200 even so: the original front end gives up after any other answer.
    if (refusal) return answer({ data, afterMs: retryAfterMs(refusal) });
    const slot = this.#admission.slot(monotonicMs());
    return answer(slot ? withTicket(data, slot) : { data });
  }

  #refuse(res: HttpResponse, req: HttpRequest, { reason, error, headers }: Refusal): void {
    this.#count(reason);
    this.#answer(res, req, { status: error.row.http, body: JSON.stringify(error), headers });
  }

  #count(reason: RefuseReason): void {
    counters[SLOT[`refused_${reason}`]]! += 1;
  }

  #answer(res: HttpResponse, req: HttpRequest, answer: PlainAnswer): void {
    this.#answered += 1;
    this.#boundAnswered();
    const cors = this.#origins ? corsHeaders(this.#origins, headerIfSent(req, "origin")) : ANY_PAGE;
    writeAnswer(res, answer, { isHead: req.getMethod() === "head", cors });
  }
}

/** Empty, or all lines: a second one costs 2 µs to find, so only where there is a first. */
const headerOnce = (req: HttpRequest, name: string): string =>
  req.getHeader(name) === "" ? "" : headerLines(req, name);

function forwardedBy(req: HttpRequest): Forwarded {
  const header = (name: string): string => headerLines(req, `x-forwarded-${name}`);
  return { proto: header("proto"), host: header("host"), prefix: header("prefix") };
}

/** Puts the ticket into the address, so that a front end that ignores slots sends it as well. */
function withTicket(data: string, { afterMs, ticket }: ConnectSlot): object {
  return { data: `${data}${data.includes("?") ? "&" : "?"}ticket=${ticket}`, afterMs };
}

/** uWebSockets reports 1006 and a text for connections that it cut itself (the texts were observed in tests). */
function closeReason(code: number, reason: ArrayBuffer): CloseReason {
  if (code !== 1006) return "client";
  if (reason.byteLength === 0) return "abnormal";
  const text = Buffer.from(reason).toString("latin1");
  if (text.includes("too big")) return "too_big";
  if (text.includes("inactivity")) return "idle";
  return text.includes("FIN") ? "abnormal" : "protocol";
}
