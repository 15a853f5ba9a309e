/** Thousands of clients connect at the same moment: the gateway stays ready, answers each, and admits all in the end. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { it } from "node:test";
import { HANDSHAKE } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

/** Naive clients: all connect at once, and each that is refused or cut reconnects after the same fixed delay, for ever. */
class NaiveClients {
  readonly #sockets = new Set<Socket>();
  open = 0;
  refused = 0;
  broken = 0;
  #over = false;

  constructor(
    private readonly port: number,
    private readonly delayMs: number,
  ) {}

  connect(count: number): void {
    for (let i = 0; i < count; i++) this.#try();
  }

  #try(): void {
    if (this.#over) return;
    const socket = connect(this.port, "127.0.0.1", () => socket.write(HANDSHAKE));
    this.#sockets.add(socket);
    let isOpen = false;
    socket.once("data", (chunk: Buffer) => {
      isOpen = chunk.toString("latin1").startsWith("HTTP/1.1 101 ");
      if (isOpen) this.open += 1;
      else this.refused += 1;
    });
    socket.on("error", () => {
      this.broken += 1;
    });
    socket.on("close", () => {
      this.#sockets.delete(socket);
      if (isOpen) this.open -= 1;
      if (!this.#over) setTimeout(() => this.#try(), this.delayMs);
    });
  }

  end(): void {
    this.#over = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Resolves when all clients are admitted, with the seconds it took; /readyz must answer 200 throughout. */
async function admitAll(gateway: Gateway, clients: NaiveClients, count: number, withinMs: number): Promise<number> {
  const begun = performance.now();
  clients.connect(count);
  await until(
    `${count} are admitted`,
    async () => ({ open: clients.open, refused: clients.refused, ready: await gateway.status("/readyz") }),
    ({ open, ready }) => {
      assert.equal(ready, 200, "ready throughout");
      return open === count;
    },
    withinMs,
  );
  return (performance.now() - begun) / 1000;
}

it("a storm that can be served is served: no client is refused or cut", async () => {
  const CLIENTS = 4000;
  await using gateway = await Gateway.start("--workers", "2", "--connections", "5000");
  const clients = new NaiveClients(gateway.port, 1000);
  await admitAll(gateway, clients, CLIENTS, 30_000);
  assert.deepEqual([clients.refused, clients.broken], [0, 0]);
  await until(
    "counted",
    () => gateway.metric("megagate_accepted_total"),
    (n) => n === CLIENTS,
  );
  await gateway.shows('megagate_refused_total{reason="storm"}', 0);
  clients.end();
  await until(
    "all gone",
    () => gateway.metric("megagate_connections"),
    (n) => n === 0,
  );
  await gateway.shows("megagate_handshakes_in_flight", 0);
});

it("naive clients beyond the budget are refused and admitted at its rate, within three times N over the rate", async () => {
  const CLIENTS = 3000;
  const RATE = 1000;
  await using gateway = await Gateway.start("--workers", "2", "--connections", "5000", "--accept-rate", String(RATE));
  const clients = new NaiveClients(gateway.port, 1000);
  const seconds = await admitAll(gateway, clients, CLIENTS, (3 * CLIENTS * 1000) / RATE);
  // A bucket of one second is full at the start.
  assert.ok(seconds >= CLIENTS / RATE - 1 - 0.2, `${seconds} s: not faster than the rate`);
  assert.ok(clients.refused >= CLIENTS - 2 * RATE, `${clients.refused} refused`);
  assert.equal(clients.broken, 0);
  await until(
    "each refusal is counted",
    () => gateway.metric('megagate_refused_total{reason="storm"}'),
    (n) => n === clients.refused,
  );
  clients.end();
});
