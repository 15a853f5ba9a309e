/**
 * Clients of one process for the rolling-restart measurement: clients of the SDK that check every offset, which get over the
 * control channel how many to open, where and from which address. Answers `report` with what they have received so far.
 */
import WebSocket from "ws";
import { MegagateClient, type Position } from "../../src/client/client.js";

export interface HoldOrder {
  readonly url: string;
  readonly clients: number;
  /** Index of the first client: a hundred share a topic. */
  readonly first: number;
  readonly address: string;
}

export interface Seen {
  readonly open: number;
  readonly pushes: number;
  /** Gaps and repetitions that no reset announced. */
  readonly faults: number;
  readonly resets: number;
  /** How often a connection ended, by close code. */
  readonly codes: Readonly<Record<string, number>>;
  readonly goodbyes: number;
  /** Milliseconds from a connection's end until it was open again: worst, and sum. */
  readonly worstAwayMs: number;
  readonly awayMs: number;
  readonly errors: Readonly<Record<string, number>>;
}

const DIAL_EVERY_MS = 20;
const DIALS = 30;

const seen = {
  open: 0,
  pushes: 0,
  faults: 0,
  resets: 0,
  codes: {} as Record<string, number>,
  goodbyes: 0,
  worstAwayMs: 0,
  awayMs: 0,
  errors: {} as Record<string, number>,
};

function dial(order: HoldOrder, index: number): void {
  let at: Position | undefined;
  let lostMs = 0;
  class Local extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols, { localAddress: order.address, perMessageDeflate: false });
      this.on("error", (error: NodeJS.ErrnoException) => {
        const code = error.code ?? error.message;
        seen.errors[code] = (seen.errors[code] ?? 0) + 1;
      });
    }
  }
  const client = new MegagateClient({ url: order.url, WebSocket: Local, baseMs: 500 });
  client.on("goodbye", () => {
    seen.goodbyes += 1;
  });
  client.on("state", ({ from, to, code }) => {
    if (to === "open") {
      seen.open += 1;
      if (lostMs === 0) return;
      const awayMs = performance.now() - lostMs;
      lostMs = 0;
      seen.awayMs += awayMs;
      seen.worstAwayMs = Math.max(seen.worstAwayMs, awayMs);
    } else if (from === "open") {
      seen.open -= 1;
      lostMs = performance.now();
      seen.codes[String(code)] = (seen.codes[String(code)] ?? 0) + 1;
    }
  });
  client.subscribe(`t:${Math.floor(index / 100)}`, {
    onReset: () => {
      seen.resets += 1;
      at = undefined;
    },
    onPush: ({ epoch, offset }) => {
      seen.pushes += 1;
      if (at && (epoch !== at.epoch || offset !== at.offset + 1)) seen.faults += 1;
      at = { epoch, offset };
    },
  });
}

process.on("message", (message: HoldOrder | "report") => {
  if (message === "report") {
    process.send?.(seen satisfies Seen);
    return;
  }
  let next = 0;
  const dialling = setInterval(() => {
    for (let n = 0; n < DIALS && next < message.clients; n++, next++) dial(message, message.first + next);
    if (next === message.clients) clearInterval(dialling);
  }, DIAL_EVERY_MS);
});
process.on("disconnect", () => process.exit(0));
