/**
 * What a slow reader may cost, by the options: the arithmetic behind the sentence in src/topics/README.md, the load tool's bar
 * and the test that stops 5,000 of 15,000 readers (test/scale). Pure. It is for readers that stop reading: one that goes on
 * asking is cut when the answers that wait for it pass the same limit (catchup/parking.ts).
 */
import { STALLED_QUEUE_BYTES } from "./capacity.js";
import { SERVE_OPTIONS, type ServeConfig } from "./options.js";

/** uWebSockets collects what it sends in one turn here, and moves it into the socket's buffer when the kernel is full. */
const CORK_BYTES = 16_384;
/** A push without its data: topic (128), key (256 characters of 4 bytes), numbers, names and the frame's head. */
const PUSH_HEAD_BYTES = 1280;
/** The buffer is a string that doubles when it must grow: it may have twice what it needed, or leave as much behind. */
const GROWTH = 2;
/** Entry, outbox and map of a parked socket, and each of its places: 430 and 45 bytes of heap measured, and the places. */
const PARKED_BYTES = 600;
const PLACE_BYTES = 150;

/**
 * What each process that handles pushes may grow by for other reasons while it is measured: dead buffers that V8 has not
 * collected yet. 19 MB each of hub and two workers measured, at 150 pushes of 8,000 bytes a second with 3 slow readers.
 */
export const HEAP_SLACK_BYTES = 25e6;

/** Bytes of one slow reader. */
export interface SlowReaderCost {
  /** Most that waits in the worker: the limit, and the push that was taken because the limit was not passed before it. */
  readonly waiting: number;
  /** Most of the worker's own memory. */
  readonly user: number;
  /** Beside it in the kernel, with net.ipv4.tcp_notsent_lowat as `tune` sets it. */
  readonly kernel: number;
}

type Limits = Pick<ServeConfig, "maxBackpressureBytes" | "maxPublicationBytes">;

export function slowReaderCost({ maxBackpressureBytes, maxPublicationBytes }: Limits, topics = 1): SlowReaderCost {
  const waiting = Math.max(maxBackpressureBytes, CORK_BYTES) + maxPublicationBytes + PUSH_HEAD_BYTES;
  return {
    waiting,
    user: GROWTH * waiting + PARKED_BYTES + topics * PLACE_BYTES,
    kernel: STALLED_QUEUE_BYTES,
  };
}

/** Of a gateway with its default options, for a reader of one topic. */
export const USUAL_SLOW_READER = slowReaderCost({
  maxBackpressureBytes: SERVE_OPTIONS.maxBackpressureBytes.default,
  maxPublicationBytes: SERVE_OPTIONS.maxPublicationBytes.default,
});
