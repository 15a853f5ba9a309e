/** Replays what fuzzing has found: it must not fail again. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Gateway } from "../support/gateway.js";
import { CASES, type Case } from "./cases.js";

const PAUSE_MS = 1;

async function replay({ target, pieces, end }: Case, gateway: Gateway): Promise<void> {
  const socket = connect(target === "public" ? gateway.port : gateway.adminPort, "127.0.0.1");
  socket.on("error", () => undefined);
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.resume();
  for (const piece of pieces) {
    socket.write(piece, "latin1");
    await pause(PAUSE_MS);
  }
  if (end === "reset") socket.resetAndDestroy();
  else socket.end();
  await gone;
}

describe("found by fuzzing", () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await Gateway.start("--workers", "1");
  });
  after(() => gateway[Symbol.asyncDispose]());

  for (const each of CASES) {
    it(each.name, async () => {
      const processes = await gateway.processes();
      for (let i = 0; i < each.times; i++) await replay(each, gateway);
      assert.deepEqual(
        (await gateway.processes()).map(({ pid }) => pid),
        processes.map(({ pid }) => pid),
      );
      assert.equal(await gateway.status("/readyz"), 200);
    });
  }
});
