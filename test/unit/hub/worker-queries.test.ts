/** Questions to the workers: all replies in time, or those that came until the deadline. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Frame, FrameReader } from "../../../src/hub/wire.js";
import { TIMEOUT_MS, WorkerQueries } from "../../../src/hub/worker-queries.js";

/** A linked worker that keeps what it is asked. */
class Peer {
  readonly frames: Frame[] = [];
  readonly #reader = new FrameReader();

  write(frame: Buffer): void {
    this.frames.push(...this.#reader.read(frame));
  }

  /** Of the latest question. */
  get id(): number {
    const frame = this.frames.at(-1);
    assert.ok(frame?.type === "ask");
    return frame.id;
  }
}

describe("questions to the workers", () => {
  it("ask every given worker once, and resolve with all replies", async () => {
    const queries = new WorkerQueries();
    const [one, two] = [new Peer(), new Peer()];
    const replies = queries.ask({ topic: "exts" }, [one, two]);
    assert.deepEqual([one.frames.length, two.frames.length, one.id], [1, 1, two.id]);
    assert.deepEqual(one.frames[0], { type: "ask", id: one.id, question: { topic: "exts" } });
    queries.replied({ type: "reply", id: one.id, subscribers: 3 });
    queries.replied({ type: "reply", id: two.id, subscribers: 4 });
    assert.deepEqual(
      (await replies).map(({ subscribers }) => subscribers),
      [3, 4],
    );
  });

  it("resolve at once if there is no worker to ask", async () => {
    assert.deepEqual(await new WorkerQueries().ask({ slowest: 5 }, []), []);
  });

  it("resolve after a second with the replies so far; a later reply is ignored", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const queries = new WorkerQueries();
    const [quick, busy] = [new Peer(), new Peer()];
    const replies = queries.ask({ slowest: 5 }, [quick, busy]);
    queries.replied({ type: "reply", id: quick.id, readers: [] });
    t.mock.timers.tick(TIMEOUT_MS);
    queries.replied({ type: "reply", id: busy.id, readers: [] });
    assert.equal((await replies).length, 1);
    queries.replied({ type: "reply", id: busy.id, readers: [] });
  });

  it("keep apart questions that are asked at the same time, in whichever order the replies come", async () => {
    const queries = new WorkerQueries();
    const peer = new Peer();
    const first = queries.ask({ topic: "a" }, [peer]);
    const firstId = peer.id;
    const second = queries.ask({ topic: "b" }, [peer]);
    assert.notEqual(peer.id, firstId);
    queries.replied({ type: "reply", id: peer.id, subscribers: 2 });
    queries.replied({ type: "reply", id: firstId, subscribers: 1 });
    assert.deepEqual([(await first)[0]?.subscribers, (await second)[0]?.subscribers], [1, 2]);
  });

  it("leave no timer behind", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const cleared = t.mock.method(globalThis, "clearTimeout");
    const queries = new WorkerQueries();
    const peer = new Peer();
    const replies = queries.ask({ topic: "a" }, [peer]);
    queries.replied({ type: "reply", id: peer.id, subscribers: 1 });
    await replies;
    assert.equal(cleared.mock.callCount(), 1);
  });
});
