/**
 * The edge of a worker: maps uWebSockets' events onto the session room, refuses what is no handshake, answers the few
 * plain HTTP paths, and counts. Every plain answer closes its connection: this port is for WebSockets.
 * One connection costs no object here; `res.upgrade` gets one shared empty object as user data, or where addresses are
 * limited the entry of its address.
 */

import type { Held } from "../admission/addresses.js";
import type { Admission, Slot } from "../admission/admission.js";
import { type Refusal, refuseAddress, retryAfterMs } from "../admission/refusal.js";
import { monotonicMs } from "../clock.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import { type CloseReason, type RefuseReason, SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import { ADDRESS_PATH, WEBSOCKET_PATH } from "../session/paths.js";
import type { Wish } from "../session/protocol.js";
import type { Sessions } from "../session/session.js";
import type { Listener } from "./listener.js";
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "./native.js";
import { loadPages } from "./pages.js";
import { decideUpgrade, refusePlain } from "./upgrade.js";

/** Longest message that uWebSockets takes before it cuts the connection itself; our own limit answers with 1009. */
const NATIVE_MAX_PAYLOAD_BYTES = 8192;
const STATUS: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  400: "400 Bad Request",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  426: "426 Upgrade Required",
  429: "429 Too Many Requests",
  503: "503 Service Unavailable",
};

interface UserData {
  readonly held?: Held;
}
const NO_USER_DATA: UserData = Object.freeze({});

export type ServerConfig = Pick<
  ServeConfig,
  "idleTimeoutSeconds" | "maxBackpressureBytes" | "maxTopicsPerConnection" | "publicUrl" | "dev"
>;

export class Server {
  draining = false;
  /** Topics of the handshake that is being upgraded: `open` runs inside `res.upgrade`, so no user data is needed. */
  #opening: readonly Wish[] = [];
  /** Plain HTTP answers whose connections have not reported their end yet. */
  #answered = 0;

  constructor(
    private readonly app: TemplatedApp,
    private readonly listener: Listener,
    private readonly sessions: Sessions,
    private readonly admission: Admission,
    private readonly topicEmptied: (topic: string) => void,
    private readonly config: ServerConfig,
  ) {
    this.#routes();
  }

  /** What keeps everybody out. */
  get #closedDoor(): Refusal | undefined {
    return this.admission.closed(this.draining, this.sessions.size >= this.listener.cap || this.listener.crowded);
  }

  #routes(): void {
    const { idleTimeoutSeconds, maxBackpressureBytes } = this.config;
    this.app.ws<UserData>(WEBSOCKET_PATH, {
      maxPayloadLength: NATIVE_MAX_PAYLOAD_BYTES,
      maxBackpressure: maxBackpressureBytes,
      idleTimeout: idleTimeoutSeconds,
      // 0 with automatic pings would still ping and close after 250 s (KERNEL.md fact 8).
      sendPingsAutomatically: idleTimeoutSeconds !== 0,
      maxLifetime: 0,
      upgrade: (res, req, context) => this.#upgrade(res, req, context),
      open: (ws) => this.sessions.opened(ws, this.#opening),
      message: (ws, message, isBinary) => this.sessions.received(ws, Buffer.from(message), isBinary),
      ping: (ws) => this.sessions.beat(ws),
      pong: (ws) => this.sessions.beat(ws),
      drain: (ws) => this.sessions.drained(ws),
      dropped: (ws, message) => this.sessions.dropped(ws, new Uint8Array(message)),
      subscription: (_ws, topic, now, before) => this.#subscription(topic, now, before),
      close: (ws, code, reason) => this.#closed(ws, code, reason),
    });
    this.app.any(WEBSOCKET_PATH, (res, req) => {
      const request = { upgrade: req.getHeader("upgrade"), method: req.getMethod() };
      this.#refuse(res, this.#closedDoor ?? refusePlain(request));
    });
    this.app.get(ADDRESS_PATH, (res, req) => this.#address(res, req));
    this.app.options(ADDRESS_PATH, (res) => this.#answer(res, 204, "", { "Access-Control-Allow-Methods": "GET" }));
    for (const { path, contentType, body } of loadPages(this.config.dev)) {
      this.app.get(path, (res) =>
        this.#answer(res, 200, body, { "Content-Type": contentType, "Cache-Control": "no-cache" }),
      );
    }
    this.app.any("/*", (res) => this.#refuse(res, { reason: "not_found", error: new GatewayError("notFound") }));
    this.app.filter((_res, change) => this.#filter(Number(change)));
  }

  /** +1 for every accepted connection, −1 for one that ends without having been upgraded. */
  #filter(change: number): void {
    counters[SLOT.handshakes]! += change;
    if (change > 0) {
      this.listener.added();
      return;
    }
    this.listener.removed();
    if (this.#answered > 0) this.#answered -= 1;
    else this.#count("broken");
    this.#boundAnswered();
  }

  /** Requests of one pipeline are all answered, but their connection ends once. */
  #boundAnswered(): void {
    this.#answered = Math.min(this.#answered, counters[SLOT.handshakes]!);
  }

  /** A throw in here would abort the process. */
  #upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    try {
      const { admission } = this;
      let refusal = this.#closedDoor;
      if (!refusal && admission.isCrowded) refusal = admission.crowded(req.getQuery("ticket"), monotonicMs());
      if (refusal) {
        this.#refuse(res, refusal);
        return;
      }
      const protocols = req.getHeader("sec-websocket-protocol");
      const handshake = { version: req.getHeader("sec-websocket-version"), protocols, topics: req.getQuery("topics") };
      const decision = decideUpgrade(handshake, this.config.maxTopicsPerConnection);
      if ("reason" in decision) {
        this.#refuse(res, decision);
        return;
      }
      const userData = this.#userData(res);
      if (!userData) {
        this.#refuse(res, refuseAddress(Math.random()));
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

  /** What the connection carries; undefined when its address is at its limit. */
  #userData(res: HttpResponse): UserData | undefined {
    const { addresses } = this.admission;
    if (!addresses) return NO_USER_DATA;
    const held = addresses.enter(Buffer.from(res.getRemoteAddressAsText()).toString("latin1"));
    return held && { held };
  }

  #subscription(topic: ArrayBuffer, now: number, before: number): void {
    counters[SLOT.subscriptions]! += now - before;
    if (now === 0) this.topicEmptied(Buffer.from(topic).toString("latin1"));
  }

  #closed(ws: WebSocket<UserData>, code: number, reason: ArrayBuffer): void {
    const { addresses } = this.admission;
    const held = addresses && ws.getUserData().held;
    if (held) addresses.leave(held);
    this.sessions.closed(ws, closeReason(code, reason));
    // After a close frame uWebSockets waits for the peer's end. An invalid close frame comes as 1006 without a sentence.
    this.listener.removed(code !== 1006 || reason.byteLength === 0);
  }

  /** The address of the WebSocket, for clients that ask before they connect, and in a crowd when to use it. */
  #address(res: HttpResponse, req: HttpRequest): void {
    const host = req.getHeader("host");
    const named = /^[A-Za-z0-9.-]+(?::\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::\d{1,5})?$/.test(host);
    if (this.config.publicUrl === "" && !named) {
      const error = new GatewayError("badRequest", "the Host header is no host name");
      this.#answer(res, 400, JSON.stringify(error));
      return;
    }
    const data = this.config.publicUrl === "" ? `ws://${host}${WEBSOCKET_PATH}` : this.config.publicUrl;
    const closed = this.#closedDoor;
    if (closed) {
      // Not refused: the original front end takes any answer but this one for the end.
      this.#answer(res, 200, JSON.stringify({ data, afterMs: retryAfterMs(closed) }));
      return;
    }
    const slot = this.admission.slot(monotonicMs());
    this.#answer(res, 200, JSON.stringify(slot ? inSlot(data, slot) : { data }));
  }

  #refuse(res: HttpResponse, { reason, error, headers }: Refusal): void {
    this.#count(reason);
    this.#answer(res, error.row.http, JSON.stringify(error), headers);
  }

  #count(reason: RefuseReason): void {
    counters[SLOT[`refused_${reason}`]]! += 1;
  }

  #answer(res: HttpResponse, status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#answered += 1;
    this.#boundAnswered();
    res.cork(() => {
      res.writeStatus(STATUS[status] ?? String(status));
      // Read by pages of other origins too: the original front end is served elsewhere.
      res.writeHeader("Access-Control-Allow-Origin", "*");
      if (body !== "" && headers["Content-Type"] === undefined) res.writeHeader("Content-Type", "application/json");
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
      res.end(body, true);
    });
  }
}

/** The address with a ticket in it, so that a front end that knows nothing of slots carries it too. */
function inSlot(data: string, { afterMs, ticket }: Slot): object {
  return { data: `${data}${data.includes("?") ? "&" : "?"}ticket=${ticket}`, afterMs };
}

/** uWebSockets gives 1006 and a sentence for what it cut itself (KERNEL.md §3.6; the sentences were seen in tests). */
function closeReason(code: number, reason: ArrayBuffer): CloseReason {
  if (code !== 1006) return "client";
  if (reason.byteLength === 0) return "abnormal";
  const sentence = Buffer.from(reason).toString("latin1");
  if (sentence.includes("too big")) return "too_big";
  if (sentence.includes("inactivity")) return "idle";
  return sentence.includes("FIN") ? "abnormal" : "protocol";
}
