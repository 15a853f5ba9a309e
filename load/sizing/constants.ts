/**
 * Every constant of a plan, once: its shipped value with unit and source, and how to compute the user's own value from an
 * evidence file. Pure; runs in the command line. Times are CPU microseconds on a core of the machine that measured them: two
 * cores of a virtual machine, shared by gateway, clients and other programs. Processors differ.
 */
import {
  BYTES_PER_WORKER,
  KERNEL_BYTES_PER_CLIENT_SOCKET,
  KERNEL_BYTES_PER_SERVER_SOCKET,
  STALLED_QUEUE_BYTES,
  USER_BYTES_PER_CONNECTION,
} from "../../src/config/capacity.js";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import type { Measured } from "./measured.js";
import { connectBothEnds, endOf, perProcess, scaled, slowestDelivery } from "./run.js";

export interface ConstantRow {
  readonly value: number;
  readonly unit: "bytes" | "µs";
  readonly means: string;
  readonly source: string;
  /** The value from the user's own run, and the range in which it is plausible. */
  readonly own?: {
    readonly of: (run: Measured) => number | null | undefined;
    readonly min: number;
    readonly max: number;
  };
}

/** CPU of gateway and generators separately, from /proc/PID/stat, in a run of a million on 2 shared cores. */
const BY_ROLE = "load/results/2026-11-23-cpu-by-role.json";
/**
 * Slab per connection at a million open, both ends, over the slab objects of both ends. The difference is what a walk through
 * all /proc/PID/fd leaves in the kernel (src/README.md fact 13), as monitoring agents do it: no cost of the gateway, but memory
 * that a machine with such an agent must have.
 */
const SLAB_GROWTH = 10_173 / (KERNEL_BYTES_PER_SERVER_SOCKET + KERNEL_BYTES_PER_CLIENT_SOCKET);
/** The gateway's part of a delivery and of a connect where the clients share the machine: 8.7 of 15.8, 42 of 73 µs. */
const SERVER_PART_OF_DELIVERY = 8.7 / 15.8;
const SERVER_PART_OF_CONNECT = 42 / 73;

export const CONSTANTS = {
  userPerConnection: {
    value: USER_BYTES_PER_CONNECTION,
    unit: "bytes",
    means: "gateway memory of a connection with its first subscription",
    source: "730 to 788 measured at a million and 979 at 200,000 (load/results/), rounded up",
    own: { of: (run) => run.memory?.userBytesPerConnection, min: 400, max: 10_000 },
  },
  kernelPerServerEnd: {
    value: Math.round(KERNEL_BYTES_PER_SERVER_SOCKET * SLAB_GROWTH),
    unit: "bytes",
    means: "kernel memory of the gateway's end of a connection",
    source:
      "4,040 of slab objects (src/README.md fact 12), scaled by the growth of Slab at a million (2026-11-23-million-with-history.json)",
    own: { of: (run) => endOf(run, KERNEL_BYTES_PER_SERVER_SOCKET), min: 2500, max: 20_000 },
  },
  kernelPerClientEnd: {
    value: Math.round(KERNEL_BYTES_PER_CLIENT_SOCKET * SLAB_GROWTH),
    unit: "bytes",
    means: "kernel memory of a client's end, where clients are here",
    source: "4,290 of slab objects (src/README.md fact 12), scaled in the same way",
    own: { of: (run) => endOf(run, KERNEL_BYTES_PER_CLIENT_SOCKET), min: 2500, max: 20_000 },
  },
  generatorPerConnection: {
    value: 650,
    unit: "bytes",
    means: "generator memory of a connection, where clients are here",
    source: "646 to 649 measured at a million (load/results/)",
    own: { of: (run) => run.memory?.generatorBytesPerConnection, min: 50, max: 10_000 },
  },
  perProcess: {
    value: BYTES_PER_WORKER,
    unit: "bytes",
    means: "private memory of an idle gateway process",
    source: "670 to 686 MB of 55 processes (load/results/)",
    own: { of: perProcess, min: 2e6, max: 200e6 },
  },
  perFurtherSubscription: {
    value: 200,
    unit: "bytes",
    means: "each subscription of a connection beyond its first",
    source: "100 to 200 measured (src/README.md fact 12)",
  },
  perHubTopic: {
    value: 1050,
    unit: "bytes",
    means: "a topic in the hub, before what it remembers",
    source: "550 to 750 for an empty one and 300 for its memory, measured with 20,000 and 50,000 topics",
  },
  perReplica: {
    value: 2110,
    unit: "bytes",
    means: "a topic in a worker that follows it",
    source: "1,690 and 2,110 measured with 50,000 and 20,000 topics",
  },
  perRemembered: {
    value: 560,
    unit: "bytes",
    means: "a remembered publication, besides its bytes",
    source: "690 of 130-byte pushes measured in the hub, 290 in a worker",
  },
  stalledQueue: {
    value: STALLED_QUEUE_BYTES,
    unit: "bytes",
    means: "kernel queue of a stalled reader",
    source: "20 to 29 KB measured with tcp_notsent_lowat at 16,384 (src/README.md fact 7)",
  },
  stalledBuffer: {
    value: SERVE_OPTIONS.maxBackpressureBytes.default,
    unit: "bytes",
    means: "unsent bytes of a reader before it counts as stalled",
    source: "--max-backpressure-bytes of serve",
  },
  tlsPerConnection: {
    value: 3400,
    unit: "bytes",
    means: "TLS state of an idle connection",
    source: "measured with uWebSockets.js alone",
  },
  delivery: {
    value: 8.7,
    unit: "µs",
    means: "gateway and its kernel, one push of 100 bytes to one connection",
    source: `${BY_ROLE}; 6.2 at 15,000 (src/README.md fact 9)`,
    own: { of: (run) => scaled(slowestDelivery(run), SERVER_PART_OF_DELIVERY), min: 1, max: 500 },
  },
  deliveryBothEnds: {
    value: 15.8,
    unit: "µs",
    means: "the same with the receiving client on the same cores",
    source: BY_ROLE,
    own: { of: slowestDelivery, min: 2, max: 1000 },
  },
  deliveryPerKilobyte: {
    value: 1,
    unit: "µs",
    means: "each 1,000 bytes of a push",
    source: `${BY_ROLE}: 1,000 bytes against 100, uWebSockets.js alone`,
  },
  heartbeat: {
    value: 22,
    unit: "µs",
    means: "a heartbeat and its answer, or a ping and its pong",
    source: `${BY_ROLE}: 15 at 200,000`,
  },
  connect: {
    value: 42,
    unit: "µs",
    means: "gateway and its kernel: accept, upgrade, subscribe, answer",
    source: `${BY_ROLE}: 32 at 200,000`,
    own: { of: (run) => scaled(connectBothEnds(run), SERVER_PART_OF_CONNECT), min: 2, max: 5000 },
  },
  connectBothEnds: {
    value: 73,
    unit: "µs",
    means: "the same with the connecting client on the same cores",
    source: BY_ROLE,
    own: { of: connectBothEnds, min: 4, max: 10_000 },
  },
  goodbye: {
    value: 36,
    unit: "µs",
    means: "gateway and its kernel: goodbye, close, forget",
    source: `${BY_ROLE}: an orderly close at a million; 29 at 200,000`,
  },
  goodbyeBothEnds: {
    value: 79,
    unit: "µs",
    means: "the same with the client on the same cores",
    source: `${BY_ROLE}; 56 in a stop with 200,000 (5.6 s on 2 cores)`,
  },
  tlsHandshake: {
    value: 160,
    unit: "µs",
    means: "a TLS 1.3 handshake with an ECDSA P-256 key",
    source: "measured with uWebSockets.js alone",
  },
  tlsPerDelivery: {
    value: 3,
    unit: "µs",
    means: "sealing one push in a TLS record",
    source: `${BY_ROLE}: uWebSockets.js alone`,
  },
  publication: {
    value: 24.4,
    unit: "µs",
    means: "hub: one publication, published one by one",
    source: "40,909 a second (2026-11-23-bench-publish.json); arrays of 100 are nine times as fast",
  },
  publicationPerWorker: {
    value: 0.7,
    unit: "µs",
    means: "hub: each worker that the publication goes to",
    source: `${BY_ROLE}: 0.55 with 1 to 16 workers`,
  },
  publicationInWorker: {
    value: 6.5,
    unit: "µs",
    means: "worker: each publication that it receives",
    source: `${BY_ROLE}: 3.3 to 6.5 with 1 to 16 workers`,
  },
  timerSweep: {
    value: 0.044,
    unit: "µs",
    means: "uWebSockets' check of a connection's timer, every 4 s",
    source: "measured with uWebSockets.js alone (src/README.md fact 22)",
  },
} as const satisfies Readonly<Record<string, ConstantRow>>;

export type ConstantName = keyof typeof CONSTANTS;
export type Constants = Readonly<Record<ConstantName, number>>;
