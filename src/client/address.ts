/**
 * Where the next connection goes: to a fixed address, to what a function says, or to what the gateway answers to a GET
 * of `addressUrl`. In a storm that answer is a slot: an address with a ticket in it, and how long to wait before it is
 * used. The slot is kept over that wait, and used once.
 */
import type { Clock, Fetch, FetchResponse } from "./environment.js";

export interface AddressSettings {
  readonly clock: Clock;
  /** A text, a function to ask, or undefined: then `addressUrl` is asked. */
  readonly url: string | (() => Promise<string>) | undefined;
  readonly addressUrl: string;
  readonly fetch: Fetch;
}

export interface Slot {
  readonly url: string;
  /** The gateway's word: nothing on our side shortens it. */
  readonly afterMs: number;
}

/** The gateway, or what stands before it, gave no address. */
export class NoAddress extends Error {
  constructor(
    message: string,
    /** Its `Retry-After`. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** A ticket is good for 15 s; one that waited longer, as while the page was offline, is not worth showing. */
const KEPT_MS = 10_000;

export class Address {
  readonly #settings: AddressSettings;
  #request: AbortController | undefined;
  #kept: { readonly url: string; readonly untilMs: number } | undefined;

  constructor(settings: AddressSettings) {
    this.#settings = settings;
  }

  /** The address, where nobody has to be asked for it. */
  take(): string | undefined {
    const { url, clock } = this.#settings;
    if (typeof url === "string") return url;
    const kept = this.#kept;
    this.#kept = undefined;
    return kept && clock.now() <= kept.untilMs ? kept.url : undefined;
  }

  /** Throws NoAddress, or whatever the function or fetch throws. */
  async ask(): Promise<Slot> {
    const { url, addressUrl, fetch } = this.#settings;
    if (typeof url === "string") return { url, afterMs: 0 };
    if (url) return { url: await url(), afterMs: 0 };
    const request = new AbortController();
    this.#request = request;
    try {
      // An address with a ticket is for one use, so never from a cache.
      const response = await fetch(addressUrl, { signal: request.signal, cache: "no-store" });
      if (!response.ok) throw new NoAddress(`${addressUrl} answered ${response.status}`, retryAfterMs(response));
      return slotOf(await response.json(), addressUrl);
    } finally {
      // Lets go of a body that nobody reads.
      request.abort();
    }
  }

  /** For the next `take()`, after the wait. */
  keep({ url, afterMs }: Slot): void {
    this.#kept = { url, untilMs: this.#settings.clock.now() + afterMs + KEPT_MS };
  }

  cancel(): void {
    this.#request?.abort();
    this.#request = undefined;
  }
}

function slotOf(answer: unknown, addressUrl: string): Slot {
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
