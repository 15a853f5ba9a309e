/** What a client runs in: a clock that the test moves, sockets that the test answers, and a page. */
import { MegagateClient } from "../../../src/client/client.js";
import type { Clock, WebSocketLike } from "../../../src/client/environment.js";
import type { ClientOptions } from "../../../src/client/settings.js";
import type { SubscribeOptions } from "../../../src/client/subscription.js";

export class FakeClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Map<number, { readonly atMs: number; readonly run: () => void }>();
  #last = 0;

  now(): number {
    return this.#nowMs;
  }

  setTimeout(run: () => void, delayMs: number): number {
    this.#timers.set(++this.#last, { atMs: this.#nowMs + delayMs, run });
    return this.#last;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  /** How long until each timer fires. */
  get pending(): number[] {
    return [...this.#timers.values()].map(({ atMs }) => atMs - this.#nowMs).sort((a, b) => a - b);
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers].sort(([, a], [, b]) => a.atMs - b.atMs)[0];
      if (!next || next[1].atMs > untilMs) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1].atMs);
      next[1].run();
    }
    this.#nowMs = untilMs;
  }
}

type Json = Readonly<Record<string, unknown>>;

/** A socket whose other end is the test. */
export class FakeSocket implements WebSocketLike {
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly sent: Json[] = [];
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: readonly string[] = [],
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Json);
  }

  close(code = 1005): void {
    this.readyState = 2;
    this.closedWith = code;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({} as never);
  }

  give(message: Json | string): void {
    const data = typeof message === "string" ? message : JSON.stringify(message);
    this.onmessage?.({ data } as never);
  }

  /** The other end closes. */
  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as never);
  }

  /** The last request of the client, except heartbeats. */
  get asked(): Json | undefined {
    return this.sent.findLast((message) => message.reqtype !== "Heartbeat");
  }

  get heartbeats(): number {
    return this.sent.filter((message) => message.reqtype === "Heartbeat").length;
  }

  /** Answers the last request. */
  answer(fields: Json): void {
    const { reqtype, id } = this.asked ?? {};
    this.give({ reqtype, id, code: 0, epoch: "e", recovered: false, data: [], ...fields });
  }
}

export class FakeTarget {
  readonly listeners = new Map<string, () => void>();
  visibilityState = "visible";

  addEventListener(type: string, listener: () => void): void {
    this.listeners.set(type, listener);
  }

  removeEventListener(type: string, listener: () => void): void {
    if (this.listeners.get(type) === listener) this.listeners.delete(type);
  }

  fire(type: string): void {
    this.listeners.get(type)?.();
  }
}

export class Fixture {
  readonly clock = new FakeClock();
  readonly sockets: FakeSocket[] = [];
  readonly document = new FakeTarget();
  readonly window = new FakeTarget();
  readonly client: MegagateClient;
  /** Every state that the client entered. */
  readonly states: string[] = [];
  /** The next result of the client's random function. */
  random = 0.5;

  constructor(options: Partial<ClientOptions> = {}) {
    const { sockets, document, window } = this;
    this.client = new MegagateClient({
      ...(options.addressUrl === undefined && { url: "ws://test/ws" }),
      // Most tests are about messages; those about addresses switch it on.
      topicsInUrl: false,
      WebSocket: class extends FakeSocket {
        constructor(url: string, protocols?: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      clock: this.clock,
      random: () => this.random,
      page: { document, window },
      ...options,
    });
    this.client.on("state", ({ to }) => this.states.push(to));
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("the client has made no socket");
    return socket;
  }
}

/** Lets microtasks run, and promises settle. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Connected, and following topic `t` from offset 5. */
export const opened = (options?: ConstructorParameters<typeof Fixture>[0]): Fixture => {
  const fixture = new Fixture(options);
  fixture.client.subscribe("t");
  fixture.socket.open();
  fixture.socket.answer({ topic: "t", offset: 5 });
  return fixture;
};

/** Adds each event of a subscription to `seen`, as a short text. */
export function recorder(seen: string[], name = ""): SubscribeOptions {
  return {
    onPush: ({ offset, key }) => seen.push(`${name}push ${offset}${key === undefined ? "" : ` ${key}`}`),
    onState: ({ epoch, offset, entries }) => seen.push(`${name}state ${epoch}:${offset} ${[...entries.keys()].join()}`),
    onReset: ({ because, from, to }) => seen.push(`${name}reset ${because} ${from.offset}-${to.offset}`),
    onGap: ({ from, to }) => seen.push(`${name}gap ${from}-${to}`),
    onRefused: ({ code }) => seen.push(`${name}refused ${code}`),
  };
}

export function following(snapshot = false): { fixture: Fixture; seen: string[] } {
  const fixture = new Fixture();
  const seen: string[] = [];
  fixture.client.subscribe("t", { ...recorder(seen), snapshot });
  fixture.socket.open();
  return { fixture, seen };
}

export const push = (offset: number, more: object = {}): Record<string, unknown> => ({
  topic: "t",
  offset,
  data: 1,
  ...more,
});

export const reconnect = (fixture: Fixture): void => {
  fixture.socket.end(1006);
  fixture.clock.advance(fixture.clock.pending[0] ?? 0);
  fixture.socket.open();
};
