/**
 * The bodies of single messages and arrays that have not been published yet, over all publishers: bounded in bytes and in time,
 * so that publishers that begin a body and do not end it cost no more than configured. One coarse timer for all, and none while
 * there is no body. Streams of lines are not held in memory, and not counted here. Hub process only.
 */
import { GatewayError } from "../errors.js";

export interface BodyLimits {
  /** Of all bodies together. */
  readonly bytes: number;
  /** For one body. */
  readonly seconds: number;
}

/** One body, from the request's head until its messages are published. */
export class OpenBody {
  readonly #bodies: Bodies;
  bytes = 0;
  /** Called when the body is too slow; set while it is being read. */
  onLate: ((error: GatewayError) => void) | undefined;

  constructor(
    readonly sinceMs: number,
    bodies: Bodies,
  ) {
    this.#bodies = bodies;
  }

  /** Throws publishersBusy. */
  add(bytes: number): void {
    this.bytes += bytes;
    this.#bodies.added(bytes);
  }

  close(): void {
    this.#bodies.closed(this);
  }
}

export class Bodies {
  readonly #limits: BodyLimits;
  readonly #open = new Set<OpenBody>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  begin(): OpenBody {
    const body = new OpenBody(performance.now(), this);
    this.#open.add(body);
    this.#timer ??= setInterval(() => this.#endLate(), Math.min(1000, this.#limits.seconds * 250)).unref();
    return body;
  }

  added(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#limits.bytes) return;
    const detail = `unfinished publications hold ${this.#limits.bytes} bytes already (--publish-buffer-bytes); try again`;
    throw new GatewayError("publishersBusy", detail);
  }

  closed(body: OpenBody): void {
    if (this.#open.delete(body)) this.#bytes -= body.bytes;
  }

  /** The oldest first: stops at the first body that is in time. */
  #endLate(): void {
    const before = performance.now() - this.#limits.seconds * 1000;
    for (const body of this.#open) {
      if (body.sinceMs > before) break;
      body.onLate?.(new GatewayError("bodyTooSlow", `the body did not come in ${this.#limits.seconds} s`));
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
