/**
 * The events of the client itself (those of a topic go to its subscriptions), and their listeners. `on` returns the
 * function that removes the listener. No information depends on a listener: `client.state` and `client.counts` remain.
 */
import { type ListenerErrors, shielded } from "./listener-errors.js";

/**
 *   idle ──subscribe──► connecting ──open──► open
 *                         ▲    │ failed        │ lost
 *                         │    ▼               ▼
 *                         └─ waiting ◄─────────┘        any ──close(), or a close code that says so──► closed
 */
export type ClientState = "idle" | "connecting" | "open" | "waiting" | "closed";

export interface ClientEvents {
  /**
   * `delayMs` while waiting: until the next attempt. `offline`: the page reports it, and attempts are rare. `code`, `reason`: why.
   */
  state: {
    readonly from: ClientState;
    readonly to: ClientState;
    readonly delayMs?: number;
    readonly offline?: boolean;
    readonly code?: number;
    readonly reason?: string;
  };
  /** The gateway closed for good: this client will not reconnect. */
  stopped: { readonly code: number; readonly reason: string };
  /** A refusal by the gateway, or no address to connect to. A refused topic is over; everything else goes on. */
  error: { readonly code?: number | undefined; readonly error: string; readonly topic?: string };
  /** The gateway closes soon; the client will reconnect within the window. */
  goodbye: { readonly reason: string; readonly afterMs: readonly [number, number] | undefined };
  /** The gateway's bus is away: pushes may be late. */
  degraded: Readonly<Record<string, never>>;
  restored: Readonly<Record<string, never>>;
}

type Listeners = { readonly [Name in keyof ClientEvents]: Set<(event: ClientEvents[Name]) => void> };

export class Events {
  readonly #onError: ListenerErrors;
  readonly #listeners: Listeners = {
    state: new Set(),
    stopped: new Set(),
    error: new Set(),
    goodbye: new Set(),
    degraded: new Set(),
    restored: new Set(),
  };

  constructor(onError: ListenerErrors) {
    this.#onError = onError;
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    this.#listeners[name].add(listener);
    return () => void this.#listeners[name].delete(listener);
  }

  emit<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    for (const listener of this.#listeners[name]) shielded(() => listener(event), { listener: name }, this.#onError);
  }
}
