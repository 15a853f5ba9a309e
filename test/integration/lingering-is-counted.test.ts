/** Peers that were closed and keep their end open cannot pile up descriptors: they count against the worker's cap until they are gone. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { it } from "node:test";
import { DESCRIPTOR_RESERVE } from "../../src/config/capacity.js";
import { Client, frame, HANDSHAKE, RawPeer } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const CAP = 50;
const ATTEMPTS = 400;

it(`${ATTEMPTS} connections that linger after their close hold at most a worker's cap of ${CAP}`, async () => {
  await using gateway = await Gateway.start("--workers", "1", "--worker-connections", String(CAP));
  const worker = (await gateway.processes()).find(({ role }) => role === "worker")!;
  const held = (): number => readdirSync(`/proc/${worker.pid}/fd`).length;
  const idle = held();
  const peers: RawPeer[] = [];
  let max = 0;
  for (let i = 0; i < ATTEMPTS; i++) {
    const peer = await RawPeer.connect(gateway.port);
    peer.socket.pause();
    peer.socket.write(HANDSHAKE);
    peers.push(peer);
    if (i % 10 < 9) continue;
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const { socket } of peers.slice(-10)) socket.write(frame(1, "x".repeat(3000)));
    max = Math.max(max, held() - idle);
  }
  assert.ok(max >= CAP, `${max} were held`);
  assert.ok(max <= CAP + DESCRIPTOR_RESERVE, `${max} were held`);
  assert.ok((await gateway.metric('megagate_closed_total{reason="too_big"}')) <= CAP + 10);
  for (const { socket } of peers) socket.destroy();
  const other = await until(
    "another client is admitted",
    () => Client.open(gateway.url).catch(() => undefined),
    (client) => client !== undefined,
    20_000,
  );
  await other!.end();
});
