/**
 * The promise of the whole flow, as a property: whatever interleaving of publishing, subscribing, coming back, slow
 * reading, broken links, dead workers and dead hubs, every subscriber sees contiguous offsets or is told otherwise, and
 * its state equals the hub's. Real hub, rebuild, topics, sessions and parking; only sockets and pipes are fakes.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { Hub, type Peer } from "../../src/hub/hub.js";
import { Rebuild } from "../../src/hub/rebuild.js";
import { FrameReader, fromWire, type ToWorker, toWire } from "../../src/hub/wire.js";
import { Sessions } from "../../src/session/session.js";
import type { Waiter } from "../../src/session/waiting.js";
import { TopicRules } from "../../src/topics/rules.js";
import { Topics, WAIT_MS } from "../../src/topics/topics.js";
import { FakeSocket } from "../support/fake-socket.js";

/** Slow readers of the first are cut, of the second conflated, of the third told what they missed. */
const NAMES = ["a", "c:1", "d:1"];
const rules = new TopicRules(
  { historyCount: 6, historyBytes: 100_000, historySeconds: 1000, stateKeys: 100, slowReaders: "disconnect" },
  "c:slow=conflate;d:slow=drop",
);
const config = {
  maxMessageBytes: 1024,
  maxTopicsPerConnection: 8,
  maxBackpressureBytes: 24_000,
  heartbeatText: "ping",
  heartbeatAnswer: "pong",
};
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a client believes, and the check of every message against it. */
class Believer {
  readonly positions = new Map<string, { epoch: string; offset: number }>();
  readonly states = new Map<string, Map<string, unknown>>();
  /** Topics of which it was told that it missed something: their state is not whole. */
  readonly partial = new Set<string>();
  socket: FakeSocket | undefined;
  #read = 0;

  check(): void {
    for (const text of this.socket?.messages.slice(this.#read) ?? [])
      this.#take(JSON.parse(text) as Record<string, unknown>);
    this.#read = this.socket?.messages.length ?? 0;
  }

  connected(socket: FakeSocket): void {
    this.socket = socket;
    this.#read = 0;
  }

  #take(message: Record<string, unknown>): void {
    const name = message.topic as string;
    const said = { epoch: message.epoch as string, offset: message.offset as number };
    if (message.reqtype === "Subscribe" || message.event === "reset") {
      if (message.reqtype === "Subscribe") assert.equal(message.code, 0);
      if (message.recovered === true)
        assert.equal(this.positions.get(name)?.epoch, said.epoch, "recovered: of the same epoch");
      else this.#install(name, said, message.data as { key: string; data: unknown }[]);
      return;
    }
    const last = this.positions.get(name);
    const wrong = `a gap or a duplicate in ${name}: ${JSON.stringify({ last, ...message, data: 0 })}`;
    if (message.event === "dropped") {
      assert.equal(name[0], "d");
      assert.equal(message.from, last!.offset + 1, wrong);
      last!.offset = message.to as number;
      this.partial.add(name);
      return;
    }
    if (message.prev !== undefined) assert.equal(name[0], "c", "only a conflated topic skips");
    assert.equal((message.prev as number | undefined) ?? said.offset - 1, last?.offset ?? 0, wrong);
    assert.ok(said.offset > last!.offset, wrong);
    last!.offset = said.offset;
    if (message.data === null) this.states.get(name)!.delete(message.key as string);
    else this.states.get(name)!.set(message.key as string, message.data);
  }

  #install(name: string, position: { epoch: string; offset: number }, data: { key: string; data: unknown }[]): void {
    this.positions.set(name, position);
    this.partial.delete(name);
    this.states.set(name, new Map(data.map(({ key, data: value }) => [key, value])));
  }
}

/** A worker without a process: its end of the pipe is a queue that the test moves on. */
class FakeWorker {
  readonly sockets = new Set<FakeSocket>();
  readonly topics: Topics<Waiter>;
  readonly sessions: Sessions;
  inbox: ToWorker[] = [];
  readonly peer: Peer;

  constructor(private readonly gateway: { hub: Hub }) {
    const publish = (topic: string, message: Uint8Array): void => {
      for (const socket of this.sockets) if (socket.topics.has(topic)) socket.pend(message);
    };
    const reader = new FrameReader();
    this.peer = { write: (frame) => void this.inbox.push(...([...reader.read(Buffer.from(frame))] as ToWorker[])) };
    this.topics = new Topics<Waiter>(
      {
        want: (topic, has) => this.gateway.hub.want(this.peer, topic, has && { epoch: has.epoch, offset: has.offset }),
        unwant: (topic) => this.gateway.hub.unwant(this.peer, topic),
        publish,
        subscribers: (topic) =>
          [...this.sockets].filter((s) => s.topics.has(topic)).length + this.sessions.parking.count(topic),
        arrived: (topic, waiting, inVain) => this.sessions.following.arrived(topic, waiting, inVain),
        reset: (topic) => this.sessions.following.reset(topic, (message) => publish(topic.name, message)),
        gaveUp: () => assert.fail("nobody waits so long here"),
      },
      rules,
      1e9,
    );
    this.sessions = new Sessions(this.topics, config);
  }

  connect(believer: Believer, slow: boolean): void {
    const socket = new FakeSocket(config.maxBackpressureBytes, {
      dropped: (dropped, message) => this.sessions.dropped(dropped, message),
      closed: (closed) => {
        this.sockets.delete(closed);
        this.sessions.closed(closed, "client");
      },
    });
    socket.slow = slow;
    this.sockets.add(socket);
    believer.connected(socket);
    const wishes = NAMES.map((topic) => ({
      topic,
      since: believer.positions.get(topic) && { ...believer.positions.get(topic)! },
    }));
    this.sessions.opened(socket, wishes);
  }

  step(count: number): void {
    for (const frame of this.inbox.splice(0, count)) {
      if (frame.type === "publication") this.topics.deliver(frame);
      else if (frame.type === "standing")
        Array.from(this.topics.standing(frame.topic, { ...frame, history: fromWire(frame.history) }));
    }
  }

  /** The link broke: what was on its way is lost; on the new one it says what it has. */
  relink(): void {
    this.gateway.hub.left(this.peer, NAMES);
    this.inbox = [];
    this.topics.relink();
  }

  offerTo(hub: Hub): void {
    for (const { name, epoch, offset, memory } of this.topics.replicas()) {
      hub.adopt({ topic: name, epoch, offset, history: toWire(memory.all()), state: memory.state });
    }
  }
}

type Act =
  | { type: "publish"; topic: string; key: string; bytes: number }
  | { type: "connect"; client: number; worker: number; slow: boolean }
  | { type: "leave" | "drain" | "fast" | "slow"; client: number }
  | { type: "step"; worker: number; count: number }
  | { type: "relink" | "kill"; worker: number }
  | { type: "hubDies" };

const worker = fc.nat(1);
const client = fc.nat(3);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("publish" as const),
      topic: fc.constantFrom(...NAMES),
      key: fc.constantFrom("k1", "k2", "k3"),
      bytes: fc.constantFrom(0, 10, 9000, 12_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("connect" as const), client, worker, slow: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom("leave" as const, "drain" as const, "fast" as const, "slow" as const, "slow" as const),
      client,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant("step" as const), worker, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("relink" as const, "kill" as const), worker }) },
  { weight: 1, arbitrary: fc.constant({ type: "hubDies" }) },
);

class Stage {
  hub = new Hub(rules, 1e9);
  #someoneDied = false;
  readonly workers = [0, 1].map(() => new FakeWorker(this));
  readonly believers = Array.from({ length: 4 }, () => new Believer());

  async play(each: Act): Promise<void> {
    switch (each.type) {
      case "publish":
        this.hub.publish(each.topic, each.bytes === 0 ? "null" : JSON.stringify("x".repeat(each.bytes)), each.key);
        break;
      case "connect":
        if (!this.believers[each.client]!.socket?.open)
          this.workers[each.worker]!.connect(this.believers[each.client]!, each.slow);
        break;
      case "leave":
        this.#live(each.client)?.close();
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
        this.workers[each.worker]!.step(each.count);
        break;
      case "relink":
        this.workers[each.worker]!.relink();
        break;
      case "kill":
        this.#kill(each.worker);
        break;
      case "hubDies":
        this.#restartHub();
        break;
    }
    // As the hub finds out by asking (settled.ts): everybody has received everything.
    if (this.workers.every(({ inbox }) => inbox.length === 0)) this.#someoneDied = false;
    await turn();
    for (const believer of this.believers) believer.check();
  }

  #live(index: number): FakeSocket | undefined {
    const { socket } = this.believers[index]!;
    return socket?.open ? socket : undefined;
  }

  #drain(index: number, fast: boolean): void {
    const socket = this.#live(index);
    if (!socket) return;
    if (fast) socket.slow = false;
    socket.buffered = 0;
    for (const each of this.workers) if (each.sockets.has(socket)) each.sessions.drained(socket);
  }

  #kill(index: number): void {
    this.#someoneDied = true;
    const dead = this.workers[index]!;
    for (const believer of this.believers) believer.check();
    for (const socket of [...dead.sockets]) socket.close();
    this.hub.left(dead.peer, NAMES);
    this.workers[index] = new FakeWorker(this);
  }

  #restartHub(): void {
    this.hub = new Hub(rules, 1e9);
    const rebuild = new Rebuild(this.hub, this.workers.length, !this.#someoneDied, () => undefined);
    for (const each of this.workers) each.offerTo(this.hub);
    for (const index of this.workers.keys()) rebuild.offered(index);
    for (const each of this.workers) each.relink();
  }

  /** Everything on its way arrives; everybody reads. */
  async settle(): Promise<void> {
    for (let i = 0; i < 60; i++) {
      for (const each of this.workers) each.step(1000);
      // Who waits for an offset that never came is answered with what there is.
      for (const each of this.workers) each.topics.sweep(Date.now() + WAIT_MS);
      for (const index of this.believers.keys()) this.#drain(index, true);
      await turn();
    }
    for (const believer of this.believers) believer.check();
  }
}

it("every subscriber sees contiguous offsets or is told, and its state equals the hub's", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 120, size: "max" }), async (acts) => {
      const stage = new Stage();
      // States above a portion from the start, so that coming in means being parked.
      for (const topic of NAMES)
        for (const key of ["k1", "k2", "k3"]) stage.hub.publish(topic, JSON.stringify("y".repeat(9000)), key);
      for (const each of acts) await stage.play(each);
      await stage.settle();
      for (const believer of stage.believers.filter(({ socket }) => socket?.open)) {
        for (const name of NAMES) {
          const truth = stage.hub.describe(name)!;
          assert.deepEqual(believer.positions.get(name), { epoch: truth.epoch, offset: truth.offset }, name);
          const state = Object.fromEntries(truth.state.map(({ key, data }) => [key, JSON.parse(data) as unknown]));
          if (believer.partial.has(name)) continue;
          assert.deepEqual(Object.fromEntries(believer.states.get(name)!), state, name);
        }
        assert.ok(believer.socket!.most <= config.maxBackpressureBytes + 20_000, "a slow reader's buffer is bounded");
      }
    }),
    { numRuns: Number(process.env.FLOW_RUNS ?? 300) },
  );
});
