/**
 * Native publish/subscribe: sends one message to all sockets of this worker that subscribe to a topic, in one call. Worker
 * only. What a single socket subscribes to is set through the Socket interface (protocol/socket.ts); everything that
 * concerns all subscribers of a topic is here, and nothing here allocates, waits or runs for each subscriber.
 *
 * Rules that bite (src/README.md facts 9 and 15):
 *  - `publish` queues. uWebSockets sends at the end of the loop turn, or earlier, when a subscriber is sent something else
 *    or unsubscribes. A subscriber costs 6 µs, a further message of the same turn 0.63 µs.
 *  - More than 32 publications in one turn crash uWebSockets where a subscriber's buffer is full. hub/link.ts takes at most
 *    16 frames a turn.
 *  - maxBackpressure is checked before a message is queued. Of a full socket uWebSockets reports the first message that did
 *    not fit (`dropped`) and skips the following ones silently (it reported 184 of 1,827); topics/journal.ts knows them.
 *  - Inside `dropped`, `end` and `close` crash and `send` recurses. Only `unsubscribe` is safe there.
 *  - A message of MIN_UNBATCHED_BYTES or more must not be published (protocol/socket.ts): it may crash the process.
 *    --max-publication-bytes stays below that, and a large reset goes through parking instead.
 */
import { SLOT } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { TemplatedApp } from "./native.js";

export class NativePublish {
  readonly #app: Pick<TemplatedApp, "publish" | "numSubscribers">;

  constructor(app: Pick<TemplatedApp, "publish" | "numSubscribers">) {
    this.#app = app;
  }

  /** How many sockets of this worker are natively subscribed; parked sockets are not among them. */
  subscribers(topic: string): number {
    return this.#app.numSubscribers(topic);
  }

  /** Counts a message for each subscriber. What a full socket does not take is counted where it is parked or cut. */
  publish(topic: string, message: Uint8Array): void {
    const subscribers = this.#app.numSubscribers(topic);
    if (!this.#app.publish(topic, message, false)) return;
    counters[SLOT.pushes]! += subscribers;
    counters[SLOT.messagesOut]! += subscribers;
    counters[SLOT.bytesOut]! += subscribers * message.length;
  }
}
