/** Exceptions and rejections of user code are reported, and end neither the process nor the feed. */
import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import type { ListenerFault, SubscribeOptions } from "../../../src/client/client.js";
import { Fixture, push, recorder, settled } from "./fixture.js";

/** Every event of a subscription once, with one listener that fails in the given way and one that does not. */
async function everyEvent(fail: () => unknown, onListenerError?: (error: unknown, where: ListenerFault) => void) {
  const fixture = new Fixture(onListenerError && { onListenerError });
  const seen: string[] = [];
  const failing = { onPush: fail, onState: fail, onReset: fail, onGap: fail, onRefused: fail } as SubscribeOptions;
  fixture.client.on("state", fail);
  fixture.client.on("error", fail);
  fixture.client.subscribe("t", failing);
  fixture.client.subscribe("t", recorder(seen));
  fixture.socket.open();
  fixture.socket.answer({ topic: "t", offset: 5 });
  await settled();
  fixture.socket.give(push(6));
  fixture.socket.give(push(8));
  fixture.socket.answer({ topic: "t", offset: 8 });
  fixture.socket.give(push(9));
  fixture.socket.give({ event: "dropped", topic: "t", from: 10, to: 12 });
  await settled();
  fixture.client.subscribe("u", failing);
  const { id } = fixture.socket.asked!;
  fixture.socket.give({ reqtype: "Subscribe", id, code: 4002, error: "not a topic name" });
  await settled();
  fixture.client.close();
  return seen;
}

const EVENTS = ["state e:5 ", "push 6", "gap 7-7", "reset missed 6-8", "state e:8 ", "push 9", "gap 10-12"];
const rejects = async (): Promise<void> => {
  await settled();
  throw new Error("mine");
};
const throws = (): never => {
  throw new Error("mine");
};
describe("a listener's exception", () => {
  for (const [name, fail] of Object.entries({ throws, rejects })) {
    it(`that ${name} is reported to the hook, with the listener and topic; the other listeners get everything`, async () => {
      const reported = new Set<string>();
      const seen = await everyEvent(fail, (error, { listener, topic }) => {
        assert.equal((error as Error).message, "mine");
        reported.add(`${listener} ${topic ?? "-"}`);
      });
      await settled();
      assert.deepEqual(seen, EVENTS);
      const listeners = ["onGap t", "onPush t", "onReset t", "onRefused u", "onState t", "error -", "state -"];
      assert.deepEqual([...reported].sort(), listeners.sort());
    });
  }

  it("is reported on the console if there is no hook, or the hook itself throws", async () => {
    const printed = mock.method(console, "error", () => undefined).mock;
    try {
      assert.deepEqual(await everyEvent(throws), EVENTS);
      const texts = printed.calls.map(({ arguments: [what, error] }) => `${String(what)} ${(error as Error).message}`);
      assert.ok(texts.includes("megagate: the listener onPush of topic t threw: mine"), texts.join("\n"));
      assert.ok(texts.includes("megagate: the listener state threw: mine"));
      printed.resetCalls();
      assert.deepEqual(await everyEvent(throws, throws), EVENTS);
      assert.match(String(printed.calls[0]?.arguments[0]), /the listener onListenerError threw/);
    } finally {
      mock.restoreAll();
    }
  });
});
