/** Answers to clients of the admin port that do not read: bounded, cut, counted, and in nobody's way. */
import assert from "node:assert/strict";
import type { Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { AdminKeys } from "../../../src/admin/keys.js";
import { type AdminLimits, createAdmin } from "../../../src/admin/server.js";
import { until } from "../../support/wait.js";

const BIG = "x".repeat(1_000_000);
const open: (Server | Socket)[] = [];
afterEach(() => {
  for (const one of open.splice(0)) {
    if ("closeAllConnections" in one) {
      one.close();
      one.closeAllConnections();
    } else one.destroy();
  }
});

class Admin {
  made = 0;
  posts = 0;
  readonly refused: string[] = [];
  readonly server: Server;

  constructor(limits: Partial<AdminLimits> = {}) {
    this.server = createAdmin(
      {
        "GET /big": {
          scope: "read",
          answer: () => {
            this.made += 1;
            return { body: BIG };
          },
        },
        "GET /healthz": { scope: "none", answer: () => ({ body: { status: "alive" } }) },
        "POST /publish": {
          scope: "publish",
          answer: () => {
            this.posts += 1;
            return { body: {} };
          },
        },
      },
      {
        connections: 1000,
        headSeconds: 10,
        hostnames: new Set(),
        keys: new AdminKeys(null),
        answerBytes: 20_000_000,
        answerSeconds: 30,
        onRefused: (reason) => void this.refused.push(reason),
        ...limits,
      },
    );
    open.push(this.server);
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Asks so often in one go, and reads nothing. */
  deaf(requests: number): Socket {
    const socket = connect(this.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.pause();
    socket.write("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(requests));
    open.push(socket);
    return socket;
  }
}

const get = async (admin: Admin, path: string): Promise<string> =>
  (await fetch(`http://127.0.0.1:${admin.port}${path}`)).text();

describe("answers of the admin port", () => {
  it("of a connection that does not read, few are made, whatever it asks", async () => {
    const admin = await new Admin().listen();
    admin.deaf(90);
    await until(
      "asked",
      () => admin.made,
      (n) => n > 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    // The kernel takes some megabytes for it.
    assert.ok(admin.made < 15, `${admin.made} made`);
    assert.equal(await get(admin, "/big"), BIG);
  });

  it("that nobody takes in time are cut and counted; who reads gets all of a pipeline, in order", async () => {
    const admin = await new Admin({ answerSeconds: 1 }).listen();
    const deaf = admin.deaf(50);
    const reader = admin.deaf(50);
    let bytes = 0;
    reader.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    reader.resume();
    await until(
      "cut",
      () => admin.refused,
      (all) => all.length > 0,
    );
    deaf.resume();
    await until(
      "the deaf one is gone",
      () => deaf.closed,
      (gone) => gone,
    );
    await until(
      "all are read",
      () => bytes,
      (n) => n >= 50 * BIG.length,
    );
    assert.deepEqual([admin.refused, reader.closed], [["unread"], false]);
  });

  it("are bounded over all connections: beyond it the one that waits longest is cut, and a newcomer is answered", async () => {
    const admin = await new Admin({ answerBytes: 4_500_000 }).listen();
    for (let i = 0; i < 20; i++) admin.deaf(20);
    await until(
      "some are cut",
      () => admin.refused.length,
      (n) => n >= 5,
    );
    assert.equal(await get(admin, "/big"), BIG);
    assert.deepEqual([...new Set(admin.refused)], ["unread"]);
  });

  it("a connection with more waiting requests than it may have is cut", async () => {
    const admin = await new Admin().listen();
    admin.deaf(500);
    await until(
      "cut",
      () => admin.refused,
      (all) => all.length > 0,
    );
    assert.deepEqual(admin.refused, ["pipelined"]);
    assert.ok(admin.made < 10);
  });

  it("publishers and probes wait for none of them", async () => {
    const admin = await new Admin().listen();
    for (let i = 0; i < 100; i++) admin.deaf(5);
    const startMs = performance.now();
    const { body } = await fetch(`http://127.0.0.1:${admin.port}/publish`, { method: "POST", body: "{}" });
    await body?.cancel();
    assert.match(await get(admin, "/healthz"), /alive/);
    assert.ok(performance.now() - startMs < 1500, `${performance.now() - startMs} ms`);
    assert.equal(admin.posts, 1);
  });
});

it("a connection that brings many requests keeps no listener of each", async () => {
  const admin = await new Admin().listen();
  const sockets: Socket[] = [];
  admin.server.on("connection", (socket: Socket) => sockets.push(socket));
  const client = connect(admin.port, "127.0.0.1");
  open.push(client);
  let answers = 0;
  client.on("data", (chunk: Buffer) => {
    answers += chunk.toString("latin1").split("HTTP/1.1 200").length - 1;
  });
  for (let n = 1; n <= 40; n++) {
    client.write(`${n % 2 === 0 ? "GET /healthz" : "GET /big"} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await until(
      "answered",
      () => answers,
      (count) => count === n,
    );
  }
  await until(
    "few listeners are left",
    () => sockets[0]!.listenerCount("close") + sockets[0]!.listenerCount("error"),
    (count) => count < 10,
  );
});
