/**
 * One WebSocket, from its construction to its end. A new one for each connection, so that nothing from an old socket can
 * reach the client later. It ends exactly once: because the peer closed it, was silent too long, or the client closes it.
 */

import type { WebSocketLike } from "./environment.js";
import { Heartbeat, type HeartbeatSettings } from "./heartbeat.js";
import { HEARTBEAT } from "./protocol.js";

export interface ConnectionEnd {
  readonly code: number;
  readonly reason: string;
  /** The client gave the connection up; the peer has not closed it. */
  readonly byClient: boolean;
}

export interface ConnectionListener {
  opened(): void;
  received(data: unknown): void;
  /** The last call. */
  ended(end: ConnectionEnd): void;
  /** Whether a request has waited too long for its answer. */
  isOverdue(): boolean;
}

const OPEN = 1;
/** RFC 6455: ended without a close frame. Never sent, only reported. */
const ABNORMAL = 1006;
const ignore = (): void => undefined;

export class Connection {
  readonly #socket: WebSocketLike;
  readonly #listener: ConnectionListener;
  readonly #heartbeat: Heartbeat;

  constructor(socket: WebSocketLike, settings: HeartbeatSettings, listener: ConnectionListener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#heartbeat = new Heartbeat(settings, {
      sendHeartbeat: () => this.send(HEARTBEAT),
      isOverdue: () => listener.isOverdue(),
      died: (reason) => this.drop(reason),
    });
    socket.onopen = () => {
      this.#heartbeat.start();
      listener.opened();
    };
    socket.onmessage = (event: { readonly data: unknown }) => {
      this.#heartbeat.onMessage();
      listener.received(event.data);
    };
    socket.onclose = (event: { readonly code: number; readonly reason: string }) => {
      this.#detach();
      listener.ended({ code: event.code, reason: event.reason, byClient: false });
    };
    // A close event follows, with everything that is known.
    socket.onerror = ignore;
  }

  /** Does nothing on a socket that is closing: its end will be reported. */
  send(text: string): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(text);
  }

  /** Idle time before a heartbeat, as the gateway asked for it. */
  setHeartbeatMs(ms: number): void {
    this.#heartbeat.setIntervalMs(ms);
  }

  /** Finds out soon whether the peer still answers. */
  check(): void {
    this.#heartbeat.check();
  }

  /** The peer is gone without a close: a close handshake with it would only wait. */
  drop(reason: string): void {
    this.#detach();
    if (this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close();
    this.#listener.ended({ code: ABNORMAL, reason, byClient: true });
  }

  /** The client is done with it; `ended` is not called. */
  close(): void {
    this.#detach();
    this.#socket.close(1000);
  }

  /** `onerror` stays: the ws package throws an error without a listener, for example of a close while connecting. */
  #detach(): void {
    this.#heartbeat.stop();
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
  }
}
