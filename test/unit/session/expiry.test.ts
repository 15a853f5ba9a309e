/** Sockets whose token expires: which are closed in which second. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EXPIRY_SPREAD_SECONDS, type Expiring, TokenExpiry } from "../../../src/session/expiry.js";
import { runs } from "../../support/runs.js";

const START = 1_800_000_000;

class Worker {
  readonly open = new Set<Expiring>();
  readonly expiry = new TokenExpiry<Expiring>((socket) => socket, START);

  connect(expirySecond: number): Expiring {
    const socket = { expirySecond, expirySlot: 0 };
    this.open.add(socket);
    this.expiry.opened(socket);
    return socket;
  }

  close(socket: Expiring): void {
    this.open.delete(socket);
    this.expiry.closed(socket);
  }

  /** How many were closed. */
  tick(second: number): number {
    let closed = 0;
    this.expiry.tick(second, (socket) => {
      assert.ok(this.open.has(socket), "only open sockets are closed");
      assert.ok(socket.expirySecond <= second, "and none before its time");
      this.close(socket);
      closed += 1;
    });
    return closed;
  }
}

describe("sockets whose token expires", () => {
  it("are closed in that second, and not before", () => {
    const worker = new Worker();
    worker.connect(START + 3);
    assert.deepEqual(
      [1, 2, 3, 4].map((second) => worker.tick(START + second)),
      [0, 0, 1, 0],
    );
  });

  it("are spread where 19,000 expire together", () => {
    const worker = new Worker();
    for (let i = 0; i < 19_000; i++) worker.connect(START + 1);
    const closed = Array.from({ length: EXPIRY_SPREAD_SECONDS + 1 }, (_, i) => worker.tick(START + 1 + i));
    assert.deepEqual(closed, [...Array<number>(10).fill(1900), 0]);
  });

  it("wait no longer than the spread where more come due each second", () => {
    const worker = new Worker();
    for (let second = 1; second <= 60; second++) for (let i = 0; i < second * 7; i++) worker.connect(START + second);
    for (let second = 1; second <= 80; second++) {
      worker.tick(START + second);
      for (const { expirySecond } of worker.open) assert.ok(START + second - expirySecond <= EXPIRY_SPREAD_SECONDS);
    }
    assert.equal(worker.open.size, 0);
  });

  it("are closed after a jump of the clock, and when it was set back", () => {
    const worker = new Worker();
    for (const second of [5, 50, 500, 5000, 50_000]) worker.connect(START + second);
    let closed = 0;
    for (let i = 0; i < 5; i++) closed += worker.tick(START + 10_000 + i);
    assert.equal(closed, 4);
    worker.tick(START);
    worker.connect(START - 1);
    assert.equal(worker.tick(START + 1), 1, "a token that had expired");
    assert.equal(worker.open.size, 1);
  });

  it("are all closed, whoever else comes and leaves meanwhile", () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ type: fc.constant("connect" as const), in: fc.integer({ min: -2, max: 20 }) }),
      },
      { weight: 3, arbitrary: fc.record({ type: fc.constant("leave" as const), which: fc.nat() }) },
      {
        weight: 2,
        arbitrary: fc.record({ type: fc.constant("tick" as const), by: fc.constantFrom(0, 1, 1, 2, 5000) }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const worker = new Worker();
        let now = START;
        for (const each of steps) {
          if (each.type === "connect") worker.connect(now + each.in);
          else if (each.type === "leave") {
            const sockets = [...worker.open];
            if (sockets.length > 0) worker.close(sockets[each.which % sockets.length]!);
          } else {
            now += each.by;
            worker.tick(now);
          }
        }
        for (let i = 1; i <= 20 + 2 * EXPIRY_SPREAD_SECONDS; i++) worker.tick(now + i);
        assert.equal(worker.open.size, 0);
      }),
      runs(2000),
    );
  });
});
