/**
 * The counters of slow readers, as a property: in any order of publishing and reading, each push to a reader whose buffer was
 * full was received or is counted, once, to the message and the byte; and a reader of a `disconnect` topic is disconnected
 * only when its grace is over or what it missed is no longer remembered. Only sockets and pipes are fakes.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { monotonicMs } from "../../../src/clock.js";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";
import { UNSENT_REASONS, type UnsentReason } from "../../../src/metrics/reasons.js";
import { ClientModel } from "../../support/client-model.js";
import type { FakeSocket } from "../../support/fake-socket.js";
import { FakeWorker, NAMES, rules } from "../../support/fake-worker.js";
import { makeHub } from "../../support/hub.js";
import { runs } from "../../support/runs.js";

const GRACES_MS = [0, 5000];
const LATER_MS = 6000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Step =
  | { type: "publish"; topic: string; key: string | undefined; bytes: number }
  | { type: "connect"; client: number; slow: boolean }
  | { type: "leave" | "drain" | "fast" | "slow"; client: number }
  | { type: "step"; count: number }
  | { type: "tick"; later: boolean };

const client = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      topic: fc.constantFrom(...NAMES),
      key: fc.constantFrom("k1", "k2", "k3", undefined),
      bytes: fc.constantFrom(0, 10, 9000, 12_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("connect" as const), client, slow: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom("leave" as const, "drain" as const, "drain" as const, "fast" as const, "slow" as const),
      client,
    }),
  },
  { weight: 8, arbitrary: fc.record({ type: fc.constant("step" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("tick" as const), later: fc.boolean() }) },
);

interface Sum {
  messages: number;
  bytes: number;
}

/** Everything unsent so far, over all reasons that concern pushes. */
function counted(): Sum {
  const reasons = (Object.keys(UNSENT_REASONS) as UnsentReason[]).filter((reason) => reason !== "answer");
  const sum = (slot: "unsent" | "unsentBytes"): number =>
    reasons.reduce((all, reason) => all + counters[SLOT[`${slot}_${reason}`]]!, 0);
  return { messages: sum("unsent"), bytes: sum("unsentBytes") };
}

/** One worker and its clients, which always connect without a position, and what each of them should have got. */
class Readers {
  readonly hub = makeHub({ rules });
  readonly models = Array.from({ length: 4 }, () => new ClientModel());
  /** What slow readers did not get, as observed from outside. */
  readonly missed: Sum = { messages: 0, bytes: 0 };
  readonly #pushBytes = new Map<string, number>();
  readonly #keyless = new Set<string>();
  /** For each message of a socket, the one under way included: whether the socket counted as slow when it began. */
  readonly #slow = new WeakMap<FakeSocket, boolean[]>();
  #leaving = false;
  #later = false;
  readonly worker: FakeWorker;

  constructor(private readonly graceMs: number) {
    this.worker = new FakeWorker(this, graceMs, {
      publication: ({ topic, offset, push, key }) => {
        this.#pushBytes.set(`${topic}@${offset}`, push.length);
        if (key === undefined) this.#keyless.add(`${topic}@${offset}`);
      },
      began: (socket) => this.#slow.get(socket)?.push(this.#isSlow(socket)),
      closing: (socket) => this.#closing(socket),
    });
  }

  #isSlow(socket: FakeSocket): boolean {
    return this.worker.sessions.parking.slowSinceMs(socket) !== undefined;
  }

  #countMissed(topic: string, after: number, last: number): void {
    for (let offset = after + 1; offset <= last; offset++) {
      this.missed.messages += 1;
      this.missed.bytes += this.#pushBytes.get(`${topic}@${offset}`)!;
    }
  }

  /** Reads new messages, and counts what each of them shows as skipped. */
  read(): void {
    for (const model of this.models) {
      const { socket } = model;
      if (!socket) continue;
      const slow = this.#slow.get(socket)!;
      model.check((name, last, first, index) => {
        if (!slow[index]) return;
        assert.notEqual(name, "a", "no reader of a disconnect topic continues without what it missed");
        this.#countMissed(name, last, first - 1);
        if (!socket.messages[index]!.includes('"prev":')) return;
        for (let offset = last + 1; offset < first; offset++)
          assert.ok(!this.#keyless.has(`${name}@${offset}`), "a push without a key is never replaced");
      });
    }
  }

  #closing(socket: FakeSocket): void {
    this.read();
    const { parking } = this.worker.sessions;
    const places = parking.topicsOf(socket);
    const model = this.models.find((each) => each.socket === socket)!;
    if (!places || !this.#isSlow(socket)) {
      assert.ok(this.#leaving || !places, "no reader is disconnected that is parked only because it asked for much");
      return;
    }
    const isUncounted = parking.isMidMessage(socket) && this.#slow.get(socket)![socket.messages.length] === false;
    let isOver = false;
    for (const [name, { offset: from, epoch }] of places) {
      const topic = this.worker.topics.find(name)!;
      // Without an answer the count begins where the answer would have put its cursor. So it does where a reset is under way
      // that took the place of pushes before the reader counted as slow: that reset is counted, as an answer.
      const received = isUncounted ? undefined : model.positions.get(name)?.offset;
      this.#countMissed(name, received ?? from, topic.offset);
      const has = from === topic.offset || topic.memory.reaches(from, topic.offset, monotonicMs());
      isOver ||= name === "a" && epoch === topic.epoch && !has;
    }
    if (!this.#leaving && this.graceMs > 0) assert.ok(isOver || this.#later, "it could still have caught up");
  }

  #live(index: number): FakeSocket | undefined {
    const { socket } = this.models[index]!;
    return socket?.open ? socket : undefined;
  }

  async run(each: Step): Promise<void> {
    switch (each.type) {
      case "publish":
        this.hub.publish({
          topic: each.topic,
          data: each.bytes === 0 ? "null" : JSON.stringify("x".repeat(each.bytes)),
          key: each.key,
        });
        break;
      case "connect":
        if (!this.#live(each.client)) this.#connect(this.models[each.client]!, each.slow);
        break;
      case "leave":
        this.#leaving = true;
        this.#live(each.client)?.close();
        this.#leaving = false;
        break;
      case "drain":
      case "fast":
        this.#drain(each.client, each.type === "fast");
        break;
      case "slow": {
        const socket = this.#live(each.client);
        if (socket) socket.slow = true;
        break;
      }
      case "step":
        this.worker.step(each.count);
        break;
      case "tick":
        this.#later = each.later;
        this.worker.sessions.tick(monotonicMs() + (each.later ? LATER_MS : 0));
        break;
    }
    await turn();
    this.#later = false;
    this.read();
  }

  #connect(model: ClientModel, slow: boolean): void {
    this.read();
    model.positions.clear();
    this.worker.connect(model, slow, (socket) => this.#slow.set(socket, []));
  }

  #drain(index: number, fast: boolean): void {
    const socket = this.#live(index);
    if (!socket) return;
    if (fast) socket.slow = false;
    socket.buffered = 0;
    this.worker.sessions.drained(socket);
  }

  /** Delivers everything that is under way, and lets all clients read. */
  async settle(): Promise<void> {
    for (let i = 0; i < 60; i++) {
      this.worker.step(1000);
      for (const index of this.models.keys()) this.#drain(index, true);
      await turn();
      this.read();
    }
  }
}

it("each push to a slow reader was received or is counted, to the message and the byte", async () => {
  let max = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...GRACES_MS),
      fc.array(step, { minLength: 5, maxLength: 120, size: "max" }),
      async (graceMs, steps) => {
        const readers = new Readers(graceMs);
        const before = counted();
        for (const each of steps) await readers.run(each);
        await readers.settle();
        for (const model of readers.models.filter(({ socket }) => socket?.open)) {
          for (const name of NAMES) assert.equal(model.positions.get(name)?.offset, readers.hub.describe(name)!.offset);
        }
        const after = counted();
        const unsent = { messages: after.messages - before.messages, bytes: after.bytes - before.bytes };
        assert.deepEqual(unsent, readers.missed);
        max = Math.max(max, unsent.messages);
      },
    ),
    runs(300),
  );
  assert.ok(max > 0, "some reader was slow");
});
