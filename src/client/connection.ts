/**
 * One WebSocket, from its construction to its end: told apart from the next one, so that nothing of an old socket can
 * reach the client later. It ends exactly once: by the peer's close, by a silence, or because the client lets go of it.
 */

import type { WebSocketLike } from "./environment.js";
import { Heartbeat, type HeartbeatSettings } from "./heartbeat.js";
import { HEARTBEAT } from "./protocol.js";

/** What the client hears of its connection. */
export interface ConnectionListener {
  opened(): void;
  received(data: unknown): void;
  /** The last call. `given` when it was this side that gave the connection up. */
  ended(code: number, reason: string, given: boolean): void;
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
      this.#heartbeat.heard();
      listener.received(event.data);
    };
    socket.onclose = (event: { readonly code: number; readonly reason: string }) => {
      this.#letGo();
      listener.ended(event.code, event.reason, false);
    };
    // Says nothing that the close after it does not say.
    socket.onerror = ignore;
  }

  /** A socket that is closing already takes nothing more; its end is on the way. */
  send(text: string): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(text);
  }

  /** The gateway's word on how long to be idle before a heartbeat. */
  heartbeatEvery(ms: number): void {
    this.#heartbeat.every(ms);
  }

  /** Finds out soon whether the peer is still there. */
  check(): void {
    this.#heartbeat.check();
  }

  /** The peer is gone without saying so: a close handshake with it would only wait. */
  drop(reason: string): void {
    this.#letGo();
    if (this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close();
    this.#listener.ended(ABNORMAL, reason, true);
  }

  /** The client wants no more; nothing is reported. */
  close(): void {
    this.#letGo();
    this.#socket.close(1000);
  }

  /** `onerror` stays: the ws package throws an error that nobody listens to, such as a close while connecting. */
  #letGo(): void {
    this.#heartbeat.stop();
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
  }
}
