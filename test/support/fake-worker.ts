import assert from "node:assert/strict";
import type { Hub, Peer } from "../../src/hub/hub.js";
import { FrameReader, fromWire, type ToWorker, toWire } from "../../src/hub/wire.js";
import { Sessions } from "../../src/session/session.js";
import type { Waiter } from "../../src/session/waiting.js";
import type { Publication } from "../../src/topics/publication.js";
import { TopicRules } from "../../src/topics/rules.js";
import { Topics } from "../../src/topics/topics.js";
import type { Believer } from "./believer.js";
import { FakeSocket } from "./fake-socket.js";

/** Slow readers of the first are cut, of the second conflated, of the third told what they missed. */
export const NAMES = ["a", "c:1", "d:1"];
export const rules = new TopicRules(
  { historyCount: 6, historyBytes: 100_000, historySeconds: 1000, stateKeys: 100, slowReaders: "disconnect" },
  "c:slow=conflate;d:slow=drop",
);
export const config = {
  maxMessageBytes: 1024,
  maxTopicsPerConnection: 8,
  maxRequestsPerSecond: 0,
  maxBackpressureBytes: 24_000,
  heartbeatText: "ping",
  heartbeatAnswer: "pong",
};

/** Who wants to know what happens in a worker, before it does. */
interface Onlooker {
  publication?(publication: Publication): void;
  /** A whole message was taken for the socket. */
  sent?(socket: FakeSocket): void;
  closing?(socket: FakeSocket): void;
}

/** A worker without a process: its end of the pipe is a queue that the test moves on. */
export class FakeWorker {
  readonly sockets = new Set<FakeSocket>();
  readonly topics: Topics<Waiter>;
  readonly sessions: Sessions;
  inbox: ToWorker[] = [];
  readonly peer: Peer;

  constructor(
    private readonly gateway: { hub: Hub },
    slowReaderGraceMs: number,
    private readonly onlooker: Onlooker = {},
  ) {
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
    this.sessions = new Sessions(this.topics, { ...config, slowReaderGraceMs });
  }

  connect(believer: Believer, slow: boolean, made?: (socket: FakeSocket) => void): void {
    const socket = new FakeSocket(config.maxBackpressureBytes, {
      dropped: (dropped, message) => this.sessions.dropped(dropped, message),
      sent: (sent) => this.onlooker.sent?.(sent),
      closed: (closed) => {
        this.onlooker.closing?.(closed);
        this.sockets.delete(closed);
        this.sessions.closed(closed, "client");
      },
    });
    socket.slow = slow;
    made?.(socket);
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
      if (frame.type === "publication") {
        this.onlooker.publication?.(frame);
        this.topics.deliver(frame);
      } else if (frame.type === "standing")
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
