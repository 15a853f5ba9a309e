/**
 * A worker without a process or a network: real topics, sessions and parking over fake sockets, linked to a real hub by a
 * queue of frames that the test moves on.
 */
import assert from "node:assert/strict";
import type { Hub } from "../../src/hub/hub.js";
import type { Peer } from "../../src/hub/topic-table.js";
import { FrameReader, fromWire, type ToWorker } from "../../src/hub/wire.js";
import { Sessions } from "../../src/session/session.js";
import type { Waiter } from "../../src/session/subscriptions.js";
import type { Publication } from "../../src/topics/publication.js";
import { TopicRules } from "../../src/topics/rules.js";
import { Topics } from "../../src/topics/topics.js";
import type { ClientModel } from "./client-model.js";
import { FakeSocket } from "./fake-socket.js";

/** Topics with one policy for slow readers each: disconnect, conflate, drop. */
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

/** How long topics without subscribers are followed. */
export const LINGER_MS = 1000;

/** Called before the worker handles the event. */
interface Observer {
  publication?(publication: Publication): void;
  /** The socket takes the first byte of a message. */
  began?(socket: FakeSocket): void;
  closing?(socket: FakeSocket): void;
}

export class FakeWorker {
  readonly #gateway: { readonly hub: Hub; hold?(deliver: () => void): void };
  readonly #observer: Observer;
  readonly sockets = new Set<FakeSocket>();
  readonly topics: Topics<Waiter>;
  readonly sessions: Sessions;
  inbox: ToWorker[] = [];
  isLinked = true;
  /** Frames of an earlier link do not arrive on this one. */
  #link = 0;
  readonly peer: Peer;

  constructor(
    gateway: { readonly hub: Hub; hold?(deliver: () => void): void },
    slowReaderGraceMs: number,
    observer: Observer = {},
  ) {
    this.#gateway = gateway;
    this.#observer = observer;
    const publish = (topic: string, message: Uint8Array): void => {
      for (const socket of this.sockets) if (socket.topics.has(topic)) socket.pend(message);
    };
    const take = (frame: Buffer): void => {
      const link = this.#link;
      const arrive = (): void => {
        if (link === this.#link) this.inbox.push(...([...new FrameReader().read(Buffer.from(frame))] as ToWorker[]));
      };
      if (this.#gateway.hold) this.#gateway.hold(arrive);
      else arrive();
    };
    this.peer = { write: take, answer: take, requestOf: (topic) => this.topics.find(topic)?.request ?? 0 };
    this.topics = new Topics<Waiter>({
      deps: {
        follow: (topic, request, has) => {
          const position = has && { epoch: has.epoch, offset: has.offset };
          if (this.isLinked) this.#gateway.hub.follow(this.peer, { type: "follow", topic, request, ...position });
        },
        unfollow: (topic) => {
          if (this.isLinked) this.#gateway.hub.unfollow(this.peer, topic);
        },
        relinked: () => undefined,
        compare: (names) => {
          const unserved = names.filter((name) => !this.#gateway.hub.followers(name).includes(this.peer));
          assert.ok(!this.isLinked || unserved.length === 0, "everything that is followed is served");
        },
        publish,
        subscribers: (topic) =>
          [...this.sockets].filter((s) => s.topics.has(topic)).length + this.sessions.parking.count(topic),
        ready: (topic, waiting, timedOut) => this.sessions.subscriptions.ready(topic, waiting, timedOut),
        reset: (topic) => this.sessions.subscriptions.reset(topic, (message) => publish(topic.name, message)),
        failed: (topic, waiting, why) => this.sessions.subscriptions.failed(topic, waiting, why),
      },
      rules,
      limits: { lingerMs: LINGER_MS, maxIdle: 1e9, memoryBytes: 1e9 },
    });
    this.sessions = new Sessions(this.topics, { ...config, slowReaderGraceMs });
  }

  connect(model: ClientModel, slow: boolean, made?: (socket: FakeSocket) => void): void {
    const socket = this.accept(slow);
    made?.(socket);
    model.connected(socket);
    const requests = NAMES.map((topic) => ({
      topic,
      since: model.positions.get(topic) && { ...model.positions.get(topic)! },
    }));
    this.sessions.opened(socket, requests);
  }

  /** A socket before its handshake is done: `sessions.opened` comes next. */
  accept(slow: boolean): FakeSocket {
    const socket = new FakeSocket(config.maxBackpressureBytes, {
      dropped: (dropped, message) => this.sessions.dropped(dropped, message),
      began: (sender) => this.#observer.began?.(sender),
      closed: (closed) => {
        this.#observer.closing?.(closed);
        this.sockets.delete(closed);
        this.sessions.closed(closed, "client");
      },
    });
    socket.slow = slow;
    this.sockets.add(socket);
    return socket;
  }

  step(count: number): void {
    for (const frame of this.inbox.splice(0, count)) {
      if (frame.type === "publication") {
        this.#observer.publication?.(frame);
        this.topics.deliver(frame);
      } else if (frame.type === "topicSync")
        Array.from(this.topics.topicSync(frame.topic, { ...frame, history: fromWire(frame.history) }));
    }
  }

  /** The link broke: frames under way are lost. */
  unlink(names: readonly string[] = NAMES): void {
    this.#gateway.hub.unlinked(this.peer, names);
    this.isLinked = false;
    this.topics.unlink();
    this.#link += 1;
    this.inbox = [];
  }

  /** On a new link it asks for everything again. */
  relink(): void {
    if (this.isLinked) this.unlink();
    this.isLinked = true;
    this.topics.relink();
  }

  /** Asks again for topics that were refused. */
  resubscribe(model: ClientModel): void {
    const { socket } = model;
    if (!socket?.open || !this.sockets.has(socket)) return;
    for (const topic of model.refused) {
      model.refused.delete(topic);
      const since = model.positions.get(topic);
      this.sessions.received(socket, Buffer.from(JSON.stringify({ reqtype: "Subscribe", topic, since })), false);
    }
  }
}
