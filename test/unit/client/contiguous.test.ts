/**
 * The promise as a property: whatever a connection does to pushes, a subscription sees contiguous offsets or an explicit
 * reset, and ends with the gateway's state. The gateway is a model with one topic, a short history and in-flight messages.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { runs } from "../../support/runs.js";
import { type FakeSocket, Fixture } from "./fixture.js";

type Message = Readonly<Record<string, unknown>>;
const HISTORY = 4;

/** The topics in the address of a connection, as if they were requests without an id. */
function askedByAddress(url: string): Message[] {
  const named = /\?topics=t(?:@(\d+):(\d+))?$/.exec(url);
  if (!named) return [];
  const [, epoch, offset] = named;
  return [{ reqtype: "Subscribe", ...(epoch !== undefined && { since: { epoch, offset: Number(offset) } }) }];
}

class Model {
  epoch = 1;
  offset = 0;
  readonly state = new Map<string, { epoch: string; value: number }>();
  #history: Message[] = [];
  /** On the wire towards the client, in order; lost with the connection. */
  #wire: Message[] = [];
  #socket: FakeSocket | undefined;
  #answered = 0;
  #follows = false;

  attach(socket: FakeSocket): void {
    if (this.#socket === socket) return;
    this.#socket = socket;
    this.#wire = [];
    this.#answered = 0;
    // As if the topic were always in the URL: pushes come before the answer to our request, and must not count.
    this.#follows = true;
    socket.open();
  }

  /** Reads what the client asked, and answers onto the wire. */
  answer(isHubAway = false): void {
    const sent = this.#socket ? [...askedByAddress(this.#socket.url), ...this.#socket.sent] : [];
    for (; this.#answered < sent.length; this.#answered++) {
      const request = sent[this.#answered]!;
      if (!isHubAway) this.#answerOne(request);
      else this.#wire.push({ id: request.id, reqtype: request.reqtype, topic: "t", code: 4006, error: "away" });
    }
  }

  #answerOne({ reqtype, id, since }: Message): void {
    if (reqtype === "Heartbeat") {
      this.#wire.push({ reqtype, code: 0 });
      return;
    }
    const { offset, epoch } = (since ?? {}) as { offset?: number; epoch?: string };
    const missed = offset === undefined ? [] : this.#history.filter((push) => (push.offset as number) > offset);
    const recovered = offset !== undefined && epoch === String(this.epoch) && missed.length === this.offset - offset;
    const head = { reqtype, id, code: 0, topic: "t", epoch: String(this.epoch), offset: this.offset };
    const data = [...this.state].map(([key, value]) => ({ key, data: value }));
    this.#wire.push(
      recovered ? { ...head, recovered, data: [] } : { ...head, recovered, data },
      ...(recovered ? missed : []),
    );
  }

  publish(key: string, value: number | null, fate: "sent" | "lost" | "twice" | "dropped"): void {
    this.offset += 1;
    // A push has no epoch; here its data has it, so that a push that counts in the wrong epoch is found.
    const data = value === null ? null : { epoch: String(this.epoch), value };
    if (data === null) this.state.delete(key);
    else this.state.set(key, data);
    const push = { topic: "t", offset: this.offset, key, data };
    this.#history = [...this.#history, push].slice(-HISTORY);
    if (!this.#follows) return;
    if (fate === "sent" || fate === "twice") this.#wire.push(push);
    if (fate === "twice") this.#wire.push(push);
    if (fate === "dropped") this.#wire.push({ event: "dropped", topic: "t", from: this.offset, to: this.offset });
  }

  renumber(): void {
    this.epoch += 1;
    this.offset = 0;
    this.#history = [];
    const data = [...this.state].map(([key, value]) => ({ key, data: value }));
    if (this.#follows) this.#wire.push({ event: "reset", topic: "t", epoch: String(this.epoch), offset: 0, data });
  }

  deliver(count: number): void {
    for (let left = count; left > 0 && this.#wire.length > 0; left--) this.#socket?.give(this.#wire.shift()!);
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      key: fc.constantFrom("a", "b", "c"),
      value: fc.option(fc.nat(9)),
      fate: fc.constantFrom("sent", "sent", "sent", "lost", "twice", "dropped" as const),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("deliver" as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("answer" as const), isHubAway: fc.constantFrom(false, false, true) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.nat(4000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("disconnect", "renumber", "join" as const) }) },
);

/** The last event of a subscription, checked at each event. Faults are collected: a listener's exception would not reach the property. */
function follow(fixture: Fixture, snapshot: boolean) {
  const faults: string[] = [];
  const seen = { at: { epoch: "", offset: 0 }, faults };
  let mayBegin = true;
  const check = (holds: boolean, fault: string): void => {
    if (!holds) faults.push(`${fault}, after ${seen.at.epoch}:${seen.at.offset}`);
  };
  const subscription = fixture.client.subscribe("t", {
    snapshot,
    onGap: ({ from, to }) => check(from <= to && from === seen.at.offset + 1, `no gap: ${from}-${to}`),
    onReset: ({ from }) => {
      check(from.epoch === seen.at.epoch && from.offset === seen.at.offset, `reset from ${from.epoch}:${from.offset}`);
      mayBegin = true;
    },
    onState: ({ epoch, offset }) => {
      check(mayBegin, `began again at ${epoch}:${offset} without a reset`);
      mayBegin = false;
      seen.at = { epoch, offset };
    },
    onPush: ({ epoch, offset, data }) => {
      check(data === null || (data as { epoch: string }).epoch === epoch, `push ${offset} counts in the wrong epoch`);
      check(!mayBegin && epoch === seen.at.epoch && offset === seen.at.offset + 1, `push ${epoch}:${offset}`);
      seen.at = { epoch, offset };
    },
  });
  return { subscription, seen };
}

describe("client stays contiguous", () => {
  it("through gaps, duplicates, drops, disconnects and resets, and ends with the gateway's state", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), fc.nat(3), async (steps, kind) => {
        const snapshot = kind % 2 === 1;
        const fixture = new Fixture({ topicsInUrl: kind > 1 });
        const model = new Model();
        const followers = [follow(fixture, snapshot)];
        for (const action of steps) {
          if (fixture.client.state === "connecting") model.attach(fixture.socket);
          if (action.do === "publish") model.publish(action.key, action.value, action.fate);
          else if (action.do === "deliver") model.deliver(action.count);
          else if (action.do === "answer") model.answer(action.isHubAway);
          else if (action.do === "advance") fixture.clock.advance(action.ms);
          else if (action.do === "renumber") model.renumber();
          else if (action.do === "join") followers.push(follow(fixture, true));
          else if (fixture.client.state === "open") fixture.socket.end(1006);
          await Promise.resolve();
        }
        // A last push shows a lost tail; then everything has time to settle.
        for (let round = 0; round < 10; round++) {
          if (fixture.client.state === "connecting") model.attach(fixture.socket);
          if (round === 3) model.publish("z", 1, "sent");
          model.answer();
          model.deliver(Number.POSITIVE_INFINITY);
          if (round < 9) fixture.clock.advance(3000);
        }
        for (const { subscription, seen } of followers) {
          assert.deepEqual(seen.faults, []);
          assert.deepEqual(seen.at, { epoch: String(model.epoch), offset: model.offset });
          if (subscription !== followers[0]?.subscription || snapshot) {
            assert.deepEqual(new Map(subscription.state), model.state);
          }
        }
        fixture.client.close();
        assert.deepEqual(fixture.clock.pending, []);
      }),
      runs(4000),
    );
  });
});
