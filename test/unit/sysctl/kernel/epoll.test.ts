/**
 * The epoll loop on real sockets: sysctl/kernel/epoll.ts. Each program runs in a process of its own, because a Poller never
 * stops, and it ends with SIGKILL, because exit() would wait for the thread of an idle wait. Loopback only.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";

const moduleOf = (name: string): string =>
  JSON.stringify(new URL(`../../../../sysctl/kernel/${name}.js`, import.meta.url).href);

/** `ends` holds the server's ends of the connections; `dial()` opens a client's end through libc and registers it. */
const PREAMBLE = `
import { writeSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
const { Poller } = await import(${moduleOf("epoll")});
const libc = await import(${moduleOf("libc")});
const report = (result) => {
  writeSync(1, JSON.stringify(result));
  process.kill(process.pid, "SIGKILL");
};
process.on("uncaughtException", (error) => report({ error: String(error.stack) }));
const until = async (condition) => {
  const deadline = performance.now() + 5000;
  while (!condition() && performance.now() < deadline) await wait(2);
};
const ends = [];
const server = createServer((socket) => ends.push(socket.on("error", () => undefined)));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = libc.socketAddress("127.0.0.1", server.address().port);
const dial = (poller) => {
  const fd = libc.tcpSocket(address);
  libc.connect(fd, address);
  poller.add(fd, (libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLET) >>> 0);
  return fd;
};
const READABLE = libc.EPOLLIN, WRITABLE = libc.EPOLLOUT;
`;

function run(program: string): Record<string, unknown> {
  const { stdout, stderr, signal } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", `${PREAMBLE}\n${program}`],
    { encoding: "utf8", timeout: 20_000, killSignal: "SIGTERM" },
  );
  assert.equal(signal, "SIGKILL", stderr);
  const result = JSON.parse(stdout) as Record<string, unknown>;
  assert.equal(result.error, undefined);
  return result;
}

describe("the epoll loop", () => {
  it("reports each connect and each arrival once, though nothing reads it", () => {
    const result = run(`
      const opened = new Set(), arrived = [];
      const callbacks = {
        ready(fd, events) {
          if (events & READABLE) arrived.push(fd);
          else if (events & WRITABLE) opened.add(fd);
        },
        turn: () => false,
        gatherMs: () => 0,
      };
      const poller = new Poller(callbacks);
      const fds = [dial(poller), dial(poller), dial(poller)];
      poller.wake();
      await until(() => opened.size === 3 && ends.length === 3);
      for (const end of ends) end.write("x");
      await until(() => arrived.length >= 3);
      await wait(50);
      const isComplete = fds.every((fd) => arrived.includes(fd));
      report({ opened: opened.size, arrived: arrived.length, isComplete });
    `);
    assert.deepEqual(result, { opened: 3, arrived: 3, isComplete: true });
  });

  it("reports a connection that is reset, and the reason is pending on the descriptor", () => {
    const result = run(`
      let reason;
      const callbacks = {
        ready(fd, events) {
          if (events & (libc.EPOLLERR | libc.EPOLLHUP)) reason ??= libc.errorName(libc.pendingError(fd));
        },
        turn: () => false,
        gatherMs: () => 0,
      };
      const poller = new Poller(callbacks);
      dial(poller);
      poller.wake();
      await until(() => ends.length === 1);
      ends[0].resetAndDestroy();
      await until(() => reason !== undefined);
      report({ reason });
    `);
    assert.deepEqual(result, { reason: "ECONNRESET" });
  });

  it("costs no CPU and takes no turns while nothing happens, and an arrival ends the idle wait", () => {
    const { turns, cpuMs, wokeMs } = run(`
      let turns = 0, arrivedMs;
      const callbacks = {
        ready(fd, events) {
          if (events & READABLE) arrivedMs ??= performance.now();
        },
        turn() {
          turns++;
          return false;
        },
        gatherMs: () => 0,
      };
      const poller = new Poller(callbacks);
      dial(poller);
      poller.wake();
      await until(() => ends.length === 1);
      await wait(100);
      const turnsBefore = turns, cpu = process.cpuUsage();
      await wait(500);
      const { user, system } = process.cpuUsage(cpu);
      const idleTurns = turns - turnsBefore, sentMs = performance.now();
      ends[0].write("x");
      await until(() => arrivedMs !== undefined);
      report({ turns: idleTurns, cpuMs: (user + system) / 1000, wokeMs: arrivedMs - sentMs });
    `) as { turns: number; cpuMs: number; wokeMs: number };
    assert.equal(turns, 0);
    assert.ok(cpuMs < 100, `${cpuMs} ms of CPU in 500 ms of idling`);
    assert.ok(wokeMs < 1000, `woke after ${wokeMs} ms: the idle wait alone lasts 10 s`);
  });

  it("takes turns while events are expected, and Node's own loop runs between them", () => {
    const { turns, ticks } = run(`
      let turns = 0, ticks = 0;
      const callbacks = { ready: () => undefined, turn: () => ++turns > 0, gatherMs: () => 0 };
      const poller = new Poller(callbacks);
      poller.wake();
      const timer = setInterval(() => ticks++, 1);
      await wait(300);
      clearInterval(timer);
      report({ turns, ticks });
    `) as { turns: number; ticks: number };
    assert.ok(turns > 10, `${turns} turns in 300 ms of waits of 5 ms at most`);
    assert.ok(ticks > 5, `${ticks} timers of Node's own loop`);
  });

  it("sleeps after a small burst so that arrivals gather, but not when a turn brought nothing", () => {
    const { asked, bursts } = run(`
      let asked = 0, inTurn = 0, bursts = 0;
      const callbacks = {
        ready(fd, events) {
          if (events & READABLE) inTurn++;
        },
        turn: () => false,
        gatherMs() {
          asked++;
          if (inTurn > 0) bursts++;
          inTurn = 0;
          return 0;
        },
      };
      const poller = new Poller(callbacks);
      for (let i = 0; i < 5; i++) dial(poller);
      poller.wake();
      await until(() => ends.length === 5);
      await wait(50);
      const before = asked;
      await wait(50);
      const idle = asked - before;
      for (const end of ends) end.write("x");
      await until(() => bursts > 0);
      report({ asked: idle, bursts });
    `) as { asked: number; bursts: number };
    assert.equal(asked, 0, "an idle loop does not gather");
    assert.ok(bursts > 0);
  });

  it("returns the negated error number for a descriptor that cannot be watched", () => {
    const result = run(`
      const poller = new Poller({ ready: () => undefined, turn: () => false, gatherMs: () => 0 });
      const fd = libc.tcpSocket(address);
      const first = poller.add(fd, READABLE), again = libc.errorName(poller.add(fd, READABLE));
      libc.closeDescriptor(fd);
      report({ first, again, closed: libc.errorName(poller.add(fd, READABLE)) });
    `);
    assert.deepEqual(result, { first: 0, again: "EEXIST", closed: "EBADF" });
  });
});
