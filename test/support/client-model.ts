/** The state of one client of the fake worker, and the check of every message that it gets. */
import assert from "node:assert/strict";
import type { FakeSocket } from "./fake-socket.js";

/** Message `index` shows that no push comes between `last` and `next` of the topic. */
type Skipped = (topic: string, last: number, next: number, index: number) => void;

/** A client's positions and states, by the messages that it has read. */
export class ClientModel {
  readonly positions = new Map<string, { epoch: string; offset: number }>();
  readonly states = new Map<string, Map<string, unknown>>();
  /** Topics with a `dropped` event: their state is not complete. */
  readonly partial = new Set<string>();
  /** Topics that the gateway could not answer in time: to be asked for again. */
  readonly refused = new Set<string>();
  socket: FakeSocket | undefined;
  #read = 0;

  check(skipped?: Skipped): void {
    const { socket } = this;
    for (; socket && this.#read < socket.messages.length; this.#read++)
      this.#take(JSON.parse(socket.messages[this.#read]!) as Record<string, unknown>, skipped);
  }

  connected(socket: FakeSocket): void {
    this.socket = socket;
    this.refused.clear();
    this.#read = 0;
  }

  #take(message: Record<string, unknown>, skipped?: Skipped): void {
    if (message.reqtype === "Unsubscribe") return;
    const name = message.topic as string;
    if (message.code === 4006) {
      this.refused.add(name);
      return;
    }
    const position = { epoch: message.epoch as string, offset: message.offset as number };
    if (message.reqtype === "Subscribe" || message.event === "reset") {
      if (message.reqtype === "Subscribe") assert.equal(message.code, 0);
      else skipped?.(name, this.positions.get(name)!.offset, position.offset + 1, this.#read);
      if (message.recovered === true)
        assert.equal(this.positions.get(name)?.epoch, position.epoch, "recovered: of the same epoch");
      else this.#install(name, position, message.data as { key: string; data: unknown }[]);
      return;
    }
    const last = this.positions.get(name);
    const wrong = `a gap or a duplicate in ${name}: ${JSON.stringify({ last, ...message, data: 0 })}`;
    if (message.event === "dropped") {
      assert.equal(name[0], "d");
      assert.equal(message.from, last!.offset + 1, wrong);
      skipped?.(name, last!.offset, (message.to as number) + 1, this.#read);
      last!.offset = message.to as number;
      this.partial.add(name);
      return;
    }
    if (message.prev !== undefined) assert.equal(name[0], "c", "only a conflated topic skips");
    assert.equal((message.prev as number | undefined) ?? position.offset - 1, last?.offset ?? 0, wrong);
    assert.ok(position.offset > last!.offset, wrong);
    if (message.prev !== undefined) skipped?.(name, last!.offset, position.offset, this.#read);
    last!.offset = position.offset;
    if (message.key === undefined) return;
    if (message.data === null) this.states.get(name)!.delete(message.key as string);
    else this.states.get(name)!.set(message.key as string, message.data);
  }

  #install(name: string, position: { epoch: string; offset: number }, data: { key: string; data: unknown }[]): void {
    this.positions.set(name, position);
    this.partial.delete(name);
    this.states.set(name, new Map(data.map(({ key, data: value }) => [key, value])));
  }
}
