/** What one parked socket is still to be sent: fragments first, then replies; requests are only kept. The socket is a fake. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Outbox } from "../../../src/catchup/outbox.js";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";
import { MAX_CHUNK_BYTES, SharedMessage } from "../../../src/protocol/shared-message.js";
import { FakeSocket } from "../../support/fake-socket.js";

const message = (bytes: number): SharedMessage =>
  new SharedMessage(Buffer.from('{"data":'), Buffer.from(JSON.stringify("x".repeat(bytes - 2))));
const text = (shared: SharedMessage): string => shared.whole.toString();

describe("an outbox", () => {
  let socket: FakeSocket;
  let outbox: Outbox;
  let before: Float64Array;
  beforeEach(() => {
    socket = new FakeSocket(1e9, { dropped: () => assert.fail("dropped"), closed: () => undefined });
    outbox = new Outbox(socket);
    before = Float64Array.from(counters);
  });
  const counted = (): [messages: number, bytes: number] => [
    counters[SLOT.messagesOut]! - before[SLOT.messagesOut]!,
    counters[SLOT.bytesOut]! - before[SLOT.bytesOut]!,
  ];
  const sendAll = (): number[] => {
    const chunks: number[] = [];
    for (let bytes = outbox.sendChunk(); bytes > 0; bytes = outbox.sendChunk()) chunks.push(bytes);
    return chunks;
  };

  it("sends a small message at once and as a whole", () => {
    const small = message(100);
    assert.equal(outbox.sendShared(small), small.length);
    assert.deepEqual(socket.messages, [text(small)]);
    assert.equal(outbox.isMidMessage, false);
    assert.deepEqual(counted(), [1, small.length]);
    assert.deepEqual(sendAll(), []);
  });

  it("sends a large message in fragments of at most a chunk, one a call, and counts it once, at its end", () => {
    const large = message(3 * MAX_CHUNK_BYTES + 7);
    const head = outbox.sendShared(large);
    assert.equal(outbox.isMidMessage, true);
    assert.deepEqual(outbox.unanswered, { messages: 1, bytes: large.length });
    assert.deepEqual(counted(), [0, 0]);
    const chunks = sendAll();
    assert.equal(chunks.length, 5, "four chunks of the body and the end");
    assert.ok(Math.max(...chunks) <= MAX_CHUNK_BYTES);
    assert.equal(
      chunks.reduce((sum, bytes) => sum + bytes, head),
      large.length,
    );
    assert.deepEqual(socket.messages, [text(large)]);
    assert.equal(outbox.isMidMessage, false);
    assert.deepEqual(counted(), [1, large.length]);
    assert.deepEqual(outbox.unanswered, { messages: 0, bytes: 0 });
  });

  it("sends replies in order, and after the message that is being sent", () => {
    const large = message(2 * MAX_CHUNK_BYTES);
    outbox.sendShared(large);
    for (const reply of ["one", "two"]) outbox.reply(Buffer.from(reply));
    assert.equal(outbox.replyBytes, 6);
    sendAll();
    assert.deepEqual(socket.messages, [text(large), "one", "two"]);
    assert.equal(outbox.replyBytes, 0);
  });

  it("keeps requests in order until their turn, and counts what their client piles up", () => {
    outbox.ask({ topic: "a" });
    outbox.ask({ topic: "b", id: "four" });
    assert.equal(outbox.requestBytes, 8, "one request of each topic costs only its id");
    outbox.ask({ topic: "a", id: 7 });
    assert.equal(outbox.requestBytes, 208);
    assert.equal(outbox.unanswered.messages, 3);
    assert.deepEqual(sendAll(), [], "a request is not sent");
    assert.deepEqual(
      [outbox.nextRequest(), outbox.nextRequest(), outbox.nextRequest(), outbox.nextRequest()],
      [{ topic: "a" }, { topic: "b", id: "four" }, { topic: "a", id: 7 }, undefined],
    );
    assert.equal(outbox.requestBytes, 0);
  });

  it("cancels the requests of one topic and leaves the others in their order", () => {
    for (const [index, topic] of ["a", "b", "a", "c", "a"].entries()) outbox.ask({ topic, id: index });
    assert.deepEqual(
      outbox.cancel("a").map(({ id }) => id),
      [0, 2, 4],
    );
    assert.deepEqual([outbox.hasRequest("a"), outbox.hasRequest("c")], [false, true]);
    assert.deepEqual(outbox.cancel("a"), []);
    assert.deepEqual([outbox.nextRequest()?.id, outbox.nextRequest()?.id, outbox.requestBytes], [1, 3, 0]);
  });
});
