/**
 * Clients that reconnect, on fake connections: when each dials again, what it asks for, what the gateway's advice changes,
 * and what is found in the end.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { monotonicMs } from "../../../../load/generator/clock.js";
import type { GeneratorConfig } from "../../../../load/generator/messages.js";
import type { GatewayEvent, Push, Subscribed } from "../../../../load/generator/protocol.js";
import { type ClientConnections, Reconnects } from "../../../../load/reconnects/reconnects.js";
import type { ReconnectConfig } from "../../../../load/reconnects/steps.js";
import { until } from "../../../support/wait.js";

const CONFIG: ReconnectConfig = { policy: "naive", naiveMs: 20, topics: 1, socketsPerTopic: 10, first: 0 };
const GENERATOR = { connections: 10, host: "h:1", path: "/ws", topic: "load" } as GeneratorConfig;

const answer = (offset: number, changes: Partial<Subscribed> = {}): Subscribed => ({
  ...{ type: "subscribed", topic: "load", code: 0, epoch: "e", offset, recovered: true },
  ...changes,
});
const push = (offset: number): Push => ({
  ...{ type: "push", topic: "load", offset, previous: offset - 1, run: "mine", n: 1, publishedAtMs: monotonicMs() },
});
const event = (name: string, changes: Partial<GatewayEvent> = {}): GatewayEvent => ({
  ...{ type: "event", name, topic: "load", epoch: "e", offset: 0, from: 0, to: 0, afterMs: undefined },
  ...changes,
});

/** The descriptor of connection n is n + 3. */
class FakeConnections implements ClientConnections {
  readonly open = new Set<number>();
  readonly dialled: number[] = [];
  readonly calls: string[] = [];
  top = 13;
  reconnects: Reconnects | undefined;

  isOpen = (fd: number): boolean => this.open.has(fd);
  numberOf = (fd: number): number => fd - 3;
  start = (_attempt: number, number = 0): void => {
    this.dialled.push(number);
  };
  pause = (fd: number): void => this.#call("pause", fd);
  resume = (fd: number): void => this.#call("resume", fd);
  close = (fd: number): boolean => {
    this.#call("close", fd);
    this.open.delete(fd);
    this.reconnects!.left(fd - 3);
    return true;
  };
  cut = (fd: number): void => {
    this.open.delete(fd);
    this.reconnects!.ended(fd - 3, "cut");
  };

  #call(what: string, fd: number): void {
    this.calls.push(`${what} ${fd - 3}`);
  }
}

interface Parts {
  readonly reconnects: Reconnects;
  readonly connections: FakeConnections;
  /** Opens a connection for the first time or again; returns whether it was a reconnect. */
  readonly open: (number: number, answered: Subscribed) => boolean;
}

/** Ten connections, all open at offset 5. */
function opened(changes: Partial<ReconnectConfig> = {}): Parts {
  const connections = new FakeConnections();
  const config = { ...CONFIG, ...changes };
  const reconnects = new Reconnects({ generator: GENERATOR, config, connections: () => connections, wake: () => 0 });
  connections.reconnects = reconnects;
  const open = (number: number, answered: Subscribed): boolean => {
    connections.open.add(number + 3);
    return reconnects.opened(number, answered);
  };
  for (let i = 0; i < 10; i++) assert.equal(open(reconnects.fresh(), answer(5)), false);
  return { reconnects, connections, open };
}

/** Turns until so many have dialled. */
async function dialled({ reconnects, connections }: Parts, count: number): Promise<number[]> {
  const turn = (): number => {
    reconnects.turn();
    return connections.dialled.length;
  };
  await until("dialled", turn, (n) => n >= count);
  return [...connections.dialled].sort((a, b) => a - b);
}

describe("reconnects", () => {
  it("a share is cut, waits its pause, dials again, and is settled once it has what it missed", async () => {
    const parts = opened();
    const { reconnects, open } = parts;
    reconnects.handle({ type: "window", index: 1, atMs: monotonicMs() });
    reconnects.handle({ type: "cut", share: 0.3 });
    assert.deepEqual(reconnects.counts(), { away: 3, owing: 0 });
    assert.equal(reconnects.settled, false);
    reconnects.turn();
    assert.deepEqual(parts.connections.dialled, [], "not before the pause is over");
    assert.deepEqual(await dialled(parts, 3), [3, 6, 9], "evenly by their numbers");
    assert.equal(open(3, answer(5)), true, "nothing was missed");
    assert.equal(open(6, answer(7)), true);
    assert.equal(open(9, answer(9, { recovered: false })), true);
    assert.deepEqual(reconnects.counts(), { away: 0, owing: 1 });
    for (const offset of [6, 7]) assert.equal(reconnects.message(6, push(offset)), true);
    assert.equal(reconnects.settled, true);
    const part = reconnects.part();
    assert.deepEqual([part.ends, part.departures, part.returns, part.maxAttempts], [{ cut: 3 }, 3, 3, 1]);
    assert.deepEqual([part.delivered, part.voided, part.gaps], [2, 4, 0]);
    assert.equal(
      part.returnsBySecond.reduce((sum, n) => sum + n, 0),
      3,
    );
    assert.ok(part.lastCaughtUpAtMs >= part.lastBackAtMs && part.longestAwayMs >= 20);
    reconnects.stop();
  });

  it("a refused attempt waits again; only a first attempt is left to the ramp", async () => {
    const parts = opened();
    const { reconnects, connections } = parts;
    assert.equal(reconnects.failed(4, "timeout", 0), false, "it was not on its way back");
    connections.cut(5);
    await dialled(parts, 1);
    assert.equal(reconnects.failed(2, "http_503", 0), true);
    assert.deepEqual(await dialled(parts, 2), [2, 2]);
    const { refusals, maxAttempts } = reconnects.part();
    assert.deepEqual([refusals, maxAttempts], [{ http_503: 1 }, 2]);
    reconnects.stop();
  });

  it("the policy none, and a final close code, keep a connection away for good", () => {
    const none = opened({ policy: "none" });
    none.connections.cut(3);
    assert.deepEqual([none.reconnects.counts().away, none.reconnects.part().gone], [0, 1]);
    assert.equal(none.reconnects.settled, true);
    const sdk = opened({ policy: "sdk" });
    sdk.reconnects.ended(0, "4300");
    sdk.reconnects.ended(1, "1012");
    assert.deepEqual([sdk.reconnects.counts().away, sdk.reconnects.part().gone], [1, 1]);
    sdk.reconnects.stop();
  });

  it("goodbye sets the pause; the longest window of retry is kept for the prediction", async () => {
    const parts = opened({ policy: "sdk" });
    const { reconnects, connections } = parts;
    assert.equal(reconnects.message(0, event("goodbye", { afterMs: [0, 1] })), true);
    reconnects.ended(0, "1012");
    assert.deepEqual(await dialled(parts, 1), [0], "within the goodbye's window, not within the SDK's first second");
    assert.equal(reconnects.message(1, event("retry", { afterMs: [0, 60_000] })), true);
    assert.equal(reconnects.part().maxRetryWindowMs, 60_000);
    assert.equal(connections.dialled.length, 1);
    reconnects.stop();
  });

  it("expects pushes and the gateway's events; any other message is for the account", () => {
    const { reconnects } = opened();
    for (const name of ["degraded", "restored", "dropped", "reset", "goodbye", "retry"]) {
      assert.equal(reconnects.message(0, event(name, { to: 0 })), true, name);
    }
    assert.equal(reconnects.message(0, event("surprise")), false);
    assert.equal(reconnects.message(0, { type: "heartbeat", code: 0 }), false);
    assert.equal(reconnects.message(0, { type: "other", text: "?" }), false);
    assert.equal(reconnects.message(0, answer(5)), false);
  });

  it("latencies are those of connections that were neither away nor paused in the window", () => {
    const { reconnects, connections } = opened();
    reconnects.handle({ type: "window", index: 2, atMs: monotonicMs() });
    reconnects.handle({ type: "pause", share: 0.2 });
    assert.deepEqual(connections.calls, ["pause 4", "pause 9"]);
    for (const number of [3, 4, 9]) reconnects.message(number, push(6));
    const { latencies, paused, delivered } = reconnects.part();
    const recorded = latencies
      .flat()
      .filter((_, i) => i % 2 === 1)
      .reduce((sum, n) => sum + n, 0);
    assert.deepEqual([recorded, paused, delivered], [1, 2, 3]);
    reconnects.handle({ type: "resume" });
    assert.equal(connections.calls.filter((call) => call.startsWith("resume")).length, 10);
    assert.equal(reconnects.part().paused, 0);
  });

  it("churn closes so many a second in order, each of which reconnects", async () => {
    const parts = opened();
    const { reconnects, connections } = parts;
    reconnects.handle({ type: "churn", perSecond: 50, forMs: 100 });
    await until(
      "five have left",
      () => connections.calls.length,
      (n) => n === 5,
    );
    assert.deepEqual(
      connections.calls,
      [0, 1, 2, 3, 4].map((n) => `close ${n}`),
    );
    assert.deepEqual(await dialled(parts, 5), [0, 1, 2, 3, 4]);
    assert.deepEqual(reconnects.part().ends, { left: 5 });
    reconnects.stop();
  });

  it("heads: counts the open connections that have not received the newest push of their topic", () => {
    const { reconnects, connections } = opened();
    reconnects.message(0, push(6));
    connections.cut(12);
    reconnects.handle({ type: "heads", heads: [{ epoch: "e", offset: 7 }] });
    const { behind, behindMessages } = reconnects.part();
    assert.deepEqual([behind, behindMessages], [9, 1 + 8 * 2]);
    reconnects.stop();
  });
});
