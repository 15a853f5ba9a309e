/**
 * What a client with a token may follow: the answer to a topic that it may not is the same whether the topic exists or not, and
 * the hub hears of none. Only sockets and pipes are fakes.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Grants } from "../../../src/admission/grants.js";
import { monotonicMs } from "../../../src/clock.js";
import { parseUrlTopic } from "../../../src/protocol/messages.js";
import type { FakeSocket } from "../../support/fake-socket.js";
import { FakeWorker } from "../../support/fake-worker.js";
import { makeHub } from "../../support/hub.js";

const SECOND = 1_800_000_000;
const grants = new Grants([]);
const CLAIM = { subscribe: ["user:{sub}", "news"], query: ["user:{sub}"] };

function setUp(): {
  worker: FakeWorker;
  hub: ReturnType<typeof makeHub>;
  connect: (urlTopics?: string[]) => FakeSocket;
} {
  const hub = makeHub();
  const worker = new FakeWorker({ hub }, 5000);
  const connect = (urlTopics: string[] = []): FakeSocket => {
    const socket = worker.accept(false);
    socket.userData = { grant: grants.of(CLAIM)!, sub: "7", expirySecond: SECOND };
    worker.sessions.opened(
      socket,
      urlTopics.map((text) => parseUrlTopic(text)!),
    );
    return socket;
  };
  return { worker, hub, connect };
}

const ask = (worker: FakeWorker, socket: FakeSocket, request: object): void =>
  worker.sessions.received(socket, Buffer.from(JSON.stringify(request)), false);
const codes = (socket: FakeSocket): number[] =>
  socket.messages.map((text) => (JSON.parse(text) as { code: number }).code);

describe("a client with a token", () => {
  it("follows the topics of its grant, by Subscribe, Query and the URL", () => {
    const { worker, connect } = setUp();
    const socket = connect(["news"]);
    ask(worker, socket, { reqtype: "Query", action: "alluser:7" });
    worker.step(10);
    assert.deepEqual(codes(socket), [0, 0]);
    assert.deepEqual([...socket.topics].sort(), ["news", "user:7"]);
  });

  it("is refused others in the same words, whether they exist or not, and the hub is not asked", () => {
    const { worker, hub, connect } = setUp();
    const other = worker.accept(false);
    worker.sessions.opened(other, [{ topic: "user:8" }]);
    worker.step(10);
    assert.ok(worker.topics.find("user:8"), "another client follows it here");
    const before = hub.topics;
    const topics = ["user:8", "user:9", "user:7:x", "user", "unheard"];
    const socket = connect([...topics, "user:8@e:57"]);
    for (const topic of topics) {
      ask(worker, socket, { reqtype: "Subscribe", topic, id: 1 });
      ask(worker, socket, { reqtype: "Subscribe", topic, id: 1, since: { epoch: "e", offset: 57 } });
      ask(worker, socket, { reqtype: "Query", action: `all${topic}`, id: 1 });
    }
    worker.step(10);
    assert.equal(socket.topics.size, 0);
    assert.equal(hub.topics, before);
    for (const kind of ["Subscribe", "Query"]) {
      const answers = socket.messages.filter((text) => text.includes(`"reqtype":"${kind}"`) && text.includes('"id":1'));
      const words = new Set(answers.map((text) => text.replace(/,"topic":"[^"]*"/, "")));
      assert.deepEqual(
        [...words],
        [`{"code":4029,"error":"the token does not allow this topic","reqtype":"${kind}","id":1}`],
      );
    }
    assert.equal(socket.messages.length, 6 + 15, "each is answered once");
  });

  it("may be allowed Subscribe and not Query", () => {
    const { worker, connect } = setUp();
    const socket = connect();
    ask(worker, socket, { reqtype: "Query", action: "allnews" });
    ask(worker, socket, { reqtype: "Subscribe", topic: "news" });
    worker.step(10);
    assert.deepEqual(codes(socket), [4029, 0]);
  });

  it("is closed when its token expires; who has none stays", () => {
    const { worker, connect } = setUp();
    const anonymous = worker.accept(false);
    worker.sessions.opened(anonymous, []);
    const sockets = [connect(), connect(["news"])];
    const gone = connect();
    gone.close();
    worker.sessions.tick(monotonicMs(), SECOND - 1);
    assert.ok(sockets.every(({ open }) => open));
    for (let i = 0; i < 2; i++) worker.sessions.tick(monotonicMs(), SECOND + i);
    assert.ok(sockets.every(({ open }) => !open));
    assert.ok(anonymous.open);
    assert.equal(worker.sessions.size, 1);
  });
});
