/** When a worker listens: at its cap it closes the listening socket, below it again; uWebSockets and the kernel are fakes. */
import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { Lingering } from "../../../src/socket/lingering.js";
import { Listener, type ListenerOptions } from "../../../src/socket/listener.js";
import type { TemplatedApp, us_listen_socket } from "../../../src/socket/native.js";

const CAP = 100;
const OVERFLOW = 8;
const OTHER_DESCRIPTORS = 20;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The port of one worker: its listening sockets are numbered, and open or closed. */
class FakePort {
  readonly listening = new Set<number>();
  readonly calls: string[] = [];
  readonly logged: string[] = [];
  /** Descriptors of connections that the kernel still holds. */
  descriptors = 0;
  refusesToListen = false;
  backlogWorks: boolean | Error = true;
  nowMs = 0;
  readonly listener: Listener;
  #tokens = 0;

  constructor(change: Partial<ListenerOptions> = {}) {
    const listen = (_host: string, port: number, done: (token: us_listen_socket | false) => void): void => {
      this.calls.push(`listen ${port}`);
      if (this.refusesToListen) {
        done(false);
        return;
      }
      this.listening.add(++this.#tokens);
      done(this.#tokens);
    };
    this.listener = new Listener({
      app: { listen } as unknown as Pick<TemplatedApp, "listen">,
      host: "127.0.0.1",
      backlog: 4096,
      cap: CAP,
      overflow: OVERFLOW,
      nofile: 1024,
      onFull: (full) => this.calls.push(full ? "full" : "not full"),
      log: (level, message) => this.logged.push(`${level}: ${message}`),
      calls: {
        closeListenSocket: (token) => {
          this.calls.push("close");
          assert.ok(this.listening.delete(token as unknown as number), "a stale token is a use after free");
        },
        setBacklog: (_port, backlog) => {
          if (this.backlogWorks instanceof Error) throw this.backlogWorks;
          assert.equal(backlog, 4096);
          return this.backlogWorks;
        },
      },
      lingering: new Lingering(
        () => OTHER_DESCRIPTORS + this.descriptors,
        () => this.nowMs,
      ),
      ...change,
    });
    assert.ok(this.listener.open(8080));
    this.took();
  }

  took(): string[] {
    return this.calls.splice(0);
  }

  accept(count: number): void {
    for (let i = 0; i < count; i++) {
      this.descriptors += 1;
      this.listener.added();
    }
  }

  async end(count: number, { afterCloseFrame = false } = {}): Promise<void> {
    for (let i = 0; i < count; i++) {
      if (!afterCloseFrame) this.descriptors -= 1;
      this.listener.removed(afterCloseFrame);
    }
    await turn();
  }
}

describe("a listener", () => {
  it("closes at the cap, inside the accept of the last connection, and reports that the worker is full", () => {
    const port = new FakePort();
    port.accept(CAP - 1);
    assert.deepEqual(port.took(), []);
    assert.ok(port.listener.listening);
    port.accept(1);
    assert.deepEqual(port.took(), ["full", "close"]);
    assert.equal(port.listener.listening, false);
    assert.equal(port.listener.isOverCap, false);
  });

  it("listens again a little below the cap, so that it does not flap at every close", async () => {
    const port = new FakePort();
    port.accept(CAP);
    port.took();
    await port.end(1);
    port.listener.setOverflow(false);
    assert.deepEqual(port.took(), []);
    await port.end(1);
    assert.deepEqual(port.took(), ["not full", "listen 8080"]);
    port.accept(2);
    assert.deepEqual(port.took(), ["full", "close"]);
  });

  it("with a cap of one listens again when that connection has ended", async () => {
    const port = new FakePort({ cap: 1 });
    port.accept(1);
    await port.end(1);
    assert.deepEqual(port.took(), ["full", "close", "not full", "listen 8080"]);
  });

  it("where no worker has capacity accepts up to the overflow, and then half of it has to end first", async () => {
    const port = new FakePort();
    port.accept(CAP);
    port.took();
    port.listener.setOverflow(true);
    assert.deepEqual(port.took(), ["listen 8080"]);
    port.accept(1);
    assert.ok(port.listener.isOverCap, "this connection is to be refused");
    port.accept(OVERFLOW - 1);
    assert.deepEqual(port.took(), ["close"]);
    await port.end(OVERFLOW / 2);
    assert.deepEqual(port.took(), ["listen 8080"]);
    port.listener.setOverflow(false);
    assert.deepEqual(port.took(), ["close"]);
  });

  it("counts connections that may linger after their close frame, until the kernel's list says that they are gone", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const port = new FakePort();
      port.accept(CAP);
      await port.end(40, { afterCloseFrame: true });
      assert.deepEqual(port.took(), ["full", "close"], "all forty descriptors are still open");
      port.descriptors -= 40;
      port.nowMs += 1000;
      mock.timers.tick(1000);
      assert.deepEqual(port.took(), ["not full", "listen 8080"]);
    } finally {
      mock.timers.reset();
    }
  });

  it("tries again each second where the kernel refuses, and logs it", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const port = new FakePort();
      port.accept(CAP);
      port.refusesToListen = true;
      await port.end(10);
      assert.equal(port.listener.listening, false);
      assert.deepEqual(port.logged, ["error: cannot listen again; retrying"]);
      port.refusesToListen = false;
      port.took();
      mock.timers.tick(1000);
      assert.deepEqual(port.took(), ["listen 8080"]);
    } finally {
      mock.timers.reset();
    }
  });

  it("listens with uWebSockets' own backlog, and warns, where a larger one cannot be set", async () => {
    const port = new FakePort();
    port.backlogWorks = false;
    port.accept(CAP);
    await port.end(10);
    port.backlogWorks = new Error("no koffi");
    port.accept(10);
    await port.end(10);
    assert.ok(port.listener.listening);
    assert.equal(port.logged.length, 2);
    for (const line of port.logged) assert.match(line, /^warn: .*stays at 512/);
  });

  it("once stopped never listens again", async () => {
    const port = new FakePort();
    port.accept(CAP);
    port.listener.stop();
    port.took();
    await port.end(CAP);
    port.listener.setOverflow(true);
    assert.deepEqual(port.took(), []);
    const other = new FakePort();
    other.listener.stop();
    assert.deepEqual([other.took(), other.listener.listening], [["close"], false]);
  });
});
