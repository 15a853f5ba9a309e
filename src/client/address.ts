/**
 * The address of the next connection: a fixed one, the result of a function, or the gateway's answer to a GET of
 * `addressUrl`. In a storm the answer holds an address with a ticket, and how long to wait before it is used. It is kept
 * for that wait, and used once.
 */
import type { Clock, Fetch, FetchResponse } from "./environment.js";

export interface AddressSettings {
  readonly clock: Clock;
  /** A text, or a function that returns one; undefined: `addressUrl` is fetched. */
  readonly url: string | (() => Promise<string>) | undefined;
  readonly addressUrl: string;
  readonly fetch: Fetch;
}

export interface TimedAddress {
  readonly url: string;
  /** The gateway chose it: the client never shortens it. */
  readonly afterMs: number;
}

/** The gateway, or a proxy before it, gave no address. */
export class NoAddress extends Error {
  /** From the answer's `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A ticket is valid for 15 s. One that was kept longer, for example while the page was offline, is not sent. */
const KEPT_MS = 10_000;

export class Address {
  readonly #settings: AddressSettings;
  #request: AbortController | undefined;
  #kept: { readonly url: string; readonly untilMs: number } | undefined;

  constructor(settings: AddressSettings) {
    this.#settings = settings;
  }

  /** The address, if it is known without asking. */
  take(): string | undefined {
    const { url, clock } = this.#settings;
    if (typeof url === "string") return url;
    const kept = this.#kept;
    this.#kept = undefined;
    return kept && clock.now() <= kept.untilMs ? kept.url : undefined;
  }

  /** Throws NoAddress, or what the function or fetch throws. */
  async ask(): Promise<TimedAddress> {
    const { url, addressUrl, fetch } = this.#settings;
    if (typeof url === "string") return { url, afterMs: 0 };
    if (url) return { url: await url(), afterMs: 0 };
    const request = new AbortController();
    this.#request = request;
    try {
      // An address with a ticket is for one use: never from a cache.
      const response = await fetch(addressUrl, { signal: request.signal, cache: "no-store" });
      if (!response.ok) throw new NoAddress(`${addressUrl} answered ${response.status}`, retryAfterMs(response));
      return addressOf(await response.json(), addressUrl);
    } finally {
      // Releases a body that was not read.
      request.abort();
    }
  }

  /** For the next `take()`, after the wait. */
  keep({ url, afterMs }: TimedAddress): void {
    this.#kept = { url, untilMs: this.#settings.clock.now() + afterMs + KEPT_MS };
  }

  cancel(): void {
    this.#request?.abort();
    this.#request = undefined;
  }
}

function addressOf(answer: unknown, addressUrl: string): TimedAddress {
  const { data, afterMs } = (answer ?? {}) as { readonly data?: unknown; readonly afterMs?: unknown };
  if (typeof data !== "string") throw new NoAddress(`${addressUrl} did not answer {"data":"ws://…"}`);
  return { url: data, afterMs: typeof afterMs === "number" && afterMs > 0 ? afterMs : 0 };
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function retryAfterMs({ headers }: FetchResponse): number | undefined {
  const text = headers.get("Retry-After");
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}
