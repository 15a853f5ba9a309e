/**
 * What the client needs of its runtime: a WebSocket constructor, fetch, a clock, and, in browsers, the page that
 * reports when it becomes visible or goes offline. Narrow interfaces, so that the client needs neither DOM types nor Node's,
 * and tests can inject their own. Browsers' WebSocket and the `ws` package's both fit, and so do both kinds of fetch.
 */

/** Handlers take `never`, which every WebSocket's own event type accepts; the client only sets them. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** The `ws` package's way to end a connection without a close handshake; browsers have none. */
  terminate?(): void;
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  json(): Promise<unknown>;
}

export type Fetch = (
  url: string,
  options: { readonly signal: AbortSignal; readonly cache: "no-store" },
) => Promise<FetchResponse>;

export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface Listenable {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

/** The page in which the client runs; in Node both are absent. */
export interface Page {
  readonly document?: (Listenable & { readonly visibilityState: string }) | undefined;
  readonly window?: Listenable | undefined;
}

interface Globals extends Partial<Listenable> {
  readonly WebSocket?: WebSocketConstructor;
  readonly fetch?: Fetch;
  readonly document?: Page["document"];
  readonly performance: { now(): number };
  readonly console?: { error(...what: unknown[]): void };
  reportError?(error: unknown): void;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

const globals = globalThis as unknown as Globals;

/** Called through `globals`, because browsers refuse these functions on any other object. */
export const CLOCK: Clock = {
  now: () => globals.performance.now(),
  setTimeout: (run, delayMs) => globals.setTimeout(run, delayMs),
  clearTimeout: (timer) => globals.clearTimeout(timer),
};

/** In web workers the global scope has `online` and `offline` events too, without a document. */
export function currentPage(): Page {
  const hasEvents = typeof globals.addEventListener === "function";
  return { document: globals.document, window: hasEvents ? (globals as unknown as Listenable) : undefined };
}

export function globalWebSocket(): WebSocketConstructor {
  if (globals.WebSocket) return globals.WebSocket;
  throw new Error("there is no global WebSocket here: give the client one, such as the ws package's, as `WebSocket`");
}

/** `reportError` ends a process in some runtimes that have no page. */
export function reportError(error: unknown, what: string): void {
  if (globals.document && globals.reportError) globals.reportError(error);
  else globals.console?.error(`${what}:`, error);
}

export const globalFetch: Fetch = async (url, options) => {
  if (globals.fetch) return await globals.fetch(url, options);
  throw new Error("there is no global fetch here: give the client one as `fetch`");
};
