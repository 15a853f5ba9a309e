/**
 * A client that sends requests in any order, and checks what it gets: one answer for each request, those of one topic in the
 * order of the requests, no push without a subscription or after a confirmed end, and none missing between two.
 */
import assert from "node:assert/strict";
import type { FakeSocket } from "./fake-socket.js";

type Message = Readonly<Record<string, unknown>>;

export interface Request {
  readonly reqtype: "Subscribe" | "Query" | "Unsubscribe";
  readonly topic: string;
  readonly since?: { readonly epoch: string; readonly offset: number } | undefined;
}

interface Followed {
  epoch: string;
  offset: number;
  /** A recovered answer promised the pushes up to here. */
  promised: number;
}

const NOT_SUBSCRIBED = 4005;
const UNSUBSCRIBED = 4019;

export class Requester {
  readonly followed = new Map<string, Followed>();
  /** Unanswered requests, in the order of sending. */
  readonly open = new Map<number, Request>();
  /** Topics of which a request was refused because of an Unsubscribe that is not answered yet. */
  readonly #overtaken = new Set<string>();
  #lastId = 0;
  #read = 0;

  /** `topics` are those of the URL: they have no ids, and get negative ones here. */
  constructor(
    readonly socket: FakeSocket,
    topics: readonly string[] = [],
  ) {
    for (const [index, topic] of topics.entries()) this.open.set(-1 - index, { reqtype: "Subscribe", topic });
  }

  /** The text to send. */
  ask(request: Request): string {
    const id = ++this.#lastId;
    this.open.set(id, request);
    const { reqtype, topic, since } = request;
    return JSON.stringify(reqtype === "Query" ? { reqtype, action: `all${topic}`, id } : { reqtype, topic, since, id });
  }

  read(): void {
    const { messages } = this.socket;
    for (; this.#read < messages.length; this.#read++) {
      const message = JSON.parse(messages[this.#read]!) as Message;
      if (message.reqtype === "Heartbeat") continue;
      if ("id" in message) this.#answered(message.id as number, message);
      else if ("code" in message) this.#answered(this.#ofAddress(message), message);
      else this.#sent(message);
    }
  }

  #ofAddress(message: Message): number {
    const found = [...this.open].find(([id, { topic }]) => id < 0 && topic === message.topic);
    assert.ok(found, `an answer to nothing: ${JSON.stringify({ ...message, data: 0 })}`);
    return found[0];
  }

  #answered(id: number, message: Message): void {
    const request = this.open.get(id);
    const story = JSON.stringify({ ...message, data: 0, open: [...this.open] });
    assert.ok(request, `an answer to nothing, or a second one: ${story}`);
    assert.equal(message.reqtype, request.reqtype, story);
    const { topic, reqtype } = request;
    const oldest = [...this.open].find(([, other]) => other.topic === topic)![0];
    this.open.delete(id);
    const isRefusal = message.code !== 0;
    if (isRefusal && message.code !== UNSUBSCRIBED && reqtype !== "Unsubscribe") return;
    assert.equal(id, oldest, `out of order: ${story}`);
    if (message.code === UNSUBSCRIBED) this.#overtook(topic, story);
    else if (reqtype === "Unsubscribe") this.#ended(topic, message.code as number, story);
    else this.#began(request, message, story);
  }

  /** Only an Unsubscribe that was sent after the request may refuse it. */
  #overtook(topic: string, story: string): void {
    const isEnding = [...this.open.values()].some((other) => other.topic === topic && other.reqtype === "Unsubscribe");
    assert.ok(isEnding, `no Unsubscribe explains it: ${story}`);
    this.#overtaken.add(topic);
  }

  #ended(topic: string, code: number, story: string): void {
    const wasThere = this.#overtaken.delete(topic) || this.followed.has(topic);
    assert.equal(code, wasThere ? 0 : NOT_SUBSCRIBED, story);
    this.followed.delete(topic);
  }

  #began({ since, topic }: Request, message: Message, story: string): void {
    const before = this.followed.get(topic);
    if (before) assert.ok(before.offset >= before.promised, `promised pushes come before the next answer: ${story}`);
    assert.equal(message.topic, topic);
    const { epoch, offset } = message as { epoch: string; offset: number };
    if (message.recovered !== true) {
      this.followed.set(topic, { epoch, offset, promised: 0 });
      return;
    }
    assert.equal(since?.epoch, epoch, story);
    this.followed.set(topic, { epoch, offset: since.offset, promised: offset });
  }

  #sent(message: Message): void {
    const followed = this.followed.get(message.topic as string);
    const story = JSON.stringify({ ...message, data: 0, followed, open: [...this.open] });
    assert.ok(followed, `of a topic that is not followed: ${story}`);
    const { offset, event } = message as { offset: number; event?: string };
    if (event === "reset") {
      Object.assign(followed, { epoch: message.epoch, offset, promised: 0 });
      return;
    }
    const from =
      event === "dropped" ? (message.from as number) - 1 : ((message.prev as number | undefined) ?? offset - 1);
    assert.equal(from, followed.offset, `a gap or a duplicate: ${story}`);
    followed.offset = event === "dropped" ? (message.to as number) : offset;
  }
}
