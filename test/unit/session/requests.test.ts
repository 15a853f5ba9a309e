/**
 * Requests of one connection, as a property and as examples: in any order of requests, while the hub is away, an offset is
 * ahead, a snapshot waits or is being sent, or the reader is slow, each request gets one answer, answers about a topic come
 * in the order of its requests, and after a confirmed Unsubscribe nothing of that topic comes. Only sockets and pipes are fakes.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { monotonicMs } from "../../../src/clock.js";
import { WAIT_MS } from "../../../src/topics/topics.js";
import { FakeWorker, rules } from "../../support/fake-worker.js";
import { makeHub } from "../../support/hub.js";
import { type Request, Requester } from "../../support/requester.js";
import { runs } from "../../support/runs.js";

/** The first three have a state that is sent in fragments, and a policy each; the others have no state. */
const LARGE = ["a", "c:1", "d:1"];
const TOPICS = [...LARGE, "s", "t"];
const GRACE_MS = 5000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Since = "none" | "here" | "behind" | "ahead" | "never" | "elsewhere";
type Step =
  | { type: "publish"; topic: string; key: string | undefined; bytes: number }
  | { type: "ask"; client: number; reqtype: Request["reqtype"]; topic: string; since: Since; turns: boolean }
  | { type: "connect"; client: number; slow: boolean; topics: readonly string[] }
  | { type: "leave" | "drain" | "fast" | "slow" | "heartbeat"; client: number }
  | { type: "step"; count: number }
  | { type: "sweep" | "tick" | "relink" | "hubIsAway" };

const client = fc.nat(1);
const topic = fc.constantFrom(...TOPICS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant("ask" as const),
      client,
      reqtype: fc.constantFrom("Subscribe" as const, "Subscribe" as const, "Query" as const, "Unsubscribe" as const),
      topic,
      since: fc.constantFrom<Since>("none", "none", "here", "behind", "behind", "ahead", "never", "elsewhere"),
      // Several in one turn, as in one segment.
      turns: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      topic,
      key: fc.constantFrom("k1", "k2", undefined),
      bytes: fc.constantFrom(10, 9000, 12_000),
    }),
  },
  { weight: 5, arbitrary: fc.record({ type: fc.constant("step" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("connect" as const),
      client,
      slow: fc.boolean(),
      topics: fc.subarray(TOPICS, { maxLength: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom("drain" as const, "drain" as const, "fast" as const, "slow" as const, "heartbeat" as const),
      client,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("leave" as const), client }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Step>({ type: "sweep" }, { type: "tick" }, { type: "relink" }, { type: "hubIsAway" }),
  },
);

class Clients {
  readonly hub = makeHub({ rules });
  readonly worker = new FakeWorker(this, GRACE_MS);
  readonly requesters = new Map<number, Requester>();
  #nowMs = monotonicMs();

  constructor() {
    for (const name of LARGE)
      for (const key of ["k1", "k2", "k3"])
        this.hub.publish({ topic: name, data: JSON.stringify("y".repeat(9000)), key });
  }

  connect(index: number, slow: boolean, topics: readonly string[] = []): Requester {
    const requester = new Requester(this.worker.accept(slow), topics);
    this.requesters.set(index, requester);
    this.worker.sessions.opened(
      requester.socket,
      topics.map((name) => ({ topic: name })),
    );
    return requester;
  }

  ask(requester: Requester, request: Request): void {
    if (requester.socket.open) this.send(requester, requester.ask(request));
  }

  send({ socket }: Requester, text: string): void {
    this.worker.sessions.received(socket, Buffer.from(text), false);
  }

  since(kind: Since, name: string): Request["since"] {
    const { epoch, offset } = this.hub.describe(name) ?? { epoch: "e", offset: 0 };
    const ahead = { none: 0, here: 0, elsewhere: 0, behind: -2, ahead: 1, never: 9 }[kind];
    if (kind === "none") return undefined;
    return { epoch: kind === "elsewhere" ? "elsewhere" : epoch, offset: Math.max(offset + ahead, 0) };
  }

  drain({ socket }: Requester, fast: boolean): void {
    if (!socket.open) return;
    if (fast) socket.slow = false;
    socket.buffered = 0;
    this.worker.sessions.drained(socket);
  }

  /** One second later for the readers. */
  tick(): void {
    this.#nowMs += 1000;
    this.worker.sessions.tick(this.#nowMs);
  }

  async run(each: Step): Promise<void> {
    const one = "client" in each ? (this.requesters.get(each.client) ?? this.connect(each.client, false)) : undefined;
    switch (each.type) {
      case "publish":
        this.hub.publish({ topic: each.topic, data: JSON.stringify("x".repeat(each.bytes)), key: each.key });
        break;
      case "ask": {
        const since = each.reqtype === "Subscribe" ? this.since(each.since, each.topic) : undefined;
        this.ask(one!, { reqtype: each.reqtype, topic: each.topic, since });
        if (!each.turns) return;
        break;
      }
      case "connect":
        if (!one!.socket.open) this.connect(each.client, each.slow);
        break;
      case "leave":
        if (one!.socket.open) one!.socket.close();
        break;
      case "slow":
        one!.socket.slow = true;
        break;
      case "drain":
      case "fast":
        this.drain(one!, each.type === "fast");
        break;
      case "heartbeat":
        if (one!.socket.open) this.send(one!, '{"reqtype":"Heartbeat"}');
        break;
      case "step":
        this.worker.step(each.count);
        break;
      case "sweep":
        // Requests that wait for an offset time out; what the hub has already sent arrives before.
        this.worker.step(1000);
        this.worker.topics.sweep(monotonicMs() + WAIT_MS);
        break;
      case "hubIsAway":
        this.worker.unlink(TOPICS);
        this.worker.topics.sweep(monotonicMs() + WAIT_MS);
        this.worker.relink();
        break;
      case "tick":
        this.tick();
        break;
      case "relink":
        this.worker.unlink(TOPICS);
        this.worker.relink();
    }
    await this.read();
  }

  async read(): Promise<void> {
    await turn();
    for (const each of this.requesters.values()) each.read();
  }

  /** Delivers everything that is under way, and lets all clients read. */
  async settle(): Promise<void> {
    for (let round = 0; round < 40; round++) {
      this.worker.step(1000);
      this.worker.topics.sweep(monotonicMs() + WAIT_MS);
      for (const each of this.requesters.values()) this.drain(each, true);
      await this.read();
    }
  }

  /** Each client follows exactly the topics of its socket, and gets their pushes and no others. */
  async checkAll(): Promise<void> {
    await this.settle();
    for (const name of TOPICS) this.hub.publish({ topic: name, data: '"last"', key: undefined });
    await this.settle();
    for (const each of [...this.requesters.values()].filter(({ socket }) => socket.open)) {
      assert.deepEqual([...each.open], [], "each request was answered");
      assert.deepEqual([...each.followed.keys()].sort(), [...each.socket.topics].sort());
      for (const [name, { offset }] of each.followed) assert.equal(offset, this.hub.describe(name)!.offset, name);
    }
  }
}

it("each request gets one answer, those of a topic in their order, and after Unsubscribe nothing of the topic comes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 100, size: "max" }), async (steps) => {
      const clients = new Clients();
      for (const each of steps) await clients.run(each);
      await clients.checkAll();
    }),
    runs(300),
  );
});

describe("requests of one connection", () => {
  const subscribe = (name: string, since?: Request["since"]): Request => ({ reqtype: "Subscribe", topic: name, since });
  const query = (name: string): Request => ({ reqtype: "Query", topic: name });
  const unsubscribe = (name: string): Request => ({ reqtype: "Unsubscribe", topic: name });
  /** `id:code` of each answer, and `push offset`, in the order in which they came. */
  const got = ({ socket }: Requester): string[] =>
    socket.messages.map((text) => {
      const { id, code, offset, reqtype } = JSON.parse(text) as Record<string, unknown>;
      return reqtype === undefined ? `push ${String(offset)}` : `${String(id)}:${String(code)}`;
    });

  it("a Subscribe that waits for the hub is refused by the Unsubscribe after it, and leaves no subscription", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    for (const request of [subscribe("t"), query("t"), unsubscribe("t"), unsubscribe("t")]) clients.ask(one, request);
    assert.deepEqual(got(one), ["1:4019", "2:4019", "3:0", "4:4005"]);
    assert.equal(clients.worker.topics.waiting, 0);
    await clients.checkAll();
    assert.equal(one.socket.topics.size, 0);
    clients.ask(one, subscribe("t"));
    await clients.settle();
    await clients.checkAll();
    assert.deepEqual(got(one).slice(4), ["5:0", "push 2"]);
  });

  it("a Subscribe that waits for an offset ahead is refused by the Unsubscribe that ends the existing subscription", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    clients.ask(one, subscribe("s"));
    await clients.settle();
    const { epoch } = clients.hub.describe("s")!;
    for (const request of [subscribe("s", { epoch, offset: 2 }), query("s"), unsubscribe("s")])
      clients.ask(one, request);
    assert.equal(clients.worker.topics.waiting, 0);
    for (let i = 0; i < 3; i++) clients.hub.publish({ topic: "s", data: "1", key: undefined });
    await clients.checkAll();
    assert.deepEqual(got(one), ["1:0", "2:4019", "3:4019", "4:0"]);
  });

  it("requests after one that waits for an offset ahead are answered after it, and all of them in time", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    clients.hub.publish({ topic: "s", data: "1", key: undefined });
    clients.ask(one, subscribe("s"));
    await clients.settle();
    const { epoch } = clients.hub.describe("s")!;
    for (const offset of [2, 3, 9]) clients.ask(one, subscribe("s", { epoch, offset }));
    clients.ask(one, query("s"));
    assert.deepEqual(got(one), ["1:0"]);
    for (let i = 0; i < 2; i++) clients.hub.publish({ topic: "s", data: "1", key: undefined });
    clients.worker.step(1000);
    await clients.read();
    assert.deepEqual(got(one), ["1:0", "push 2", "2:0", "push 3", "3:0"]);
    clients.worker.topics.sweep(monotonicMs() + WAIT_MS);
    assert.deepEqual(got(one).slice(5), ["4:0", "5:0"]);
    await clients.checkAll();
  });

  it("Unsubscribe while large answers wait: those not begun are refused, the one that is being sent is completed first", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    for (const name of ["a", "c:1"]) clients.ask(one, subscribe(name));
    await clients.settle();
    for (const name of ["a", "c:1"]) clients.ask(one, unsubscribe(name));
    one.socket.slow = true;
    for (const request of [query("a"), query("c:1"), query("c:1"), query("a")]) clients.ask(one, request);
    await clients.read();
    for (const request of [unsubscribe("c:1"), unsubscribe("a")]) clients.ask(one, request);
    await clients.checkAll();
    assert.deepEqual(got(one).slice(4), ["5:0", "6:4019", "7:4019", "9:0", "8:4019", "10:0"]);
  });

  it("pushes that were promised to an ended subscription do not come before the answer to the next one", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    clients.ask(one, subscribe("a"));
    await clients.settle();
    one.socket.slow = true;
    const { epoch } = clients.hub.describe("a")!;
    clients.ask(one, subscribe("a", { epoch, offset: 0 }));
    await clients.read();
    for (const request of [unsubscribe("a"), subscribe("a")]) clients.ask(one, request);
    clients.hub.publish({ topic: "a", data: "1", key: undefined });
    clients.worker.step(1000);
    await clients.checkAll();
    assert.deepEqual(
      got(one).filter((text) => !text.startsWith("push")),
      ["1:0", "2:0", "3:0", "4:0"],
    );
  });

  it("requests repeated while one waits are each answered with their id, from the state at the time of sending", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    clients.ask(one, subscribe("a"));
    await clients.settle();
    one.socket.slow = true;
    for (let i = 0; i < 40; i++) clients.ask(one, query("a"));
    for (let i = 0; i < 3; i++) clients.hub.publish({ topic: "a", data: '"new"', key: "k1" });
    clients.worker.step(1000);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await clients.checkAll();
    const answers = one.socket.messages.map((text) => JSON.parse(text) as Record<string, unknown>);
    const offsets = answers.filter(({ reqtype }) => reqtype === "Query").map(({ offset }) => offset as number);
    assert.equal(offsets.length, 40);
    assert.ok(
      offsets.slice(1).every((offset) => offset >= 6),
      "none has a snapshot from the time of its request",
    );
  });

  it("requests beyond those that may wait are refused at once, without effect on those that wait; a close forgets all", async () => {
    const clients = new Clients();
    const one = clients.connect(0, false);
    for (let i = 0; i < 60; i++) clients.ask(one, subscribe("new"));
    assert.equal(got(one).length, 20);
    assert.ok(got(one).every((text) => text.endsWith(":4006")));
    await clients.checkAll();
    assert.equal(one.open.size, 0);
    const two = clients.connect(1, false);
    for (const request of [subscribe("b"), unsubscribe("b"), subscribe("b")]) clients.ask(two, request);
    two.socket.close();
    await clients.settle();
    assert.equal(clients.worker.topics.subscribers("b"), 0);
  });
});
