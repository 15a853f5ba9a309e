/** Well-behaved clients that measure the effect of an attack: the delay of a heartbeat, and of a push from publish to receipt. */
import { Agent, request } from "node:http";
import { Client } from "./client.js";
import type { Gateway } from "./gateway.js";
import { until } from "./wait.js";

const CLIENTS = 8;
const EVERY_MS = 10;

export interface Delays {
  readonly heartbeats: number[];
  readonly pushes: number[];
}

export class LatencyProbe {
  readonly #gateway: Gateway;
  readonly #clients: readonly Client[];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #turn = 0;
  /** What became of the last publication. */
  #published = "none";

  private constructor(gateway: Gateway, clients: readonly Client[]) {
    this.#gateway = gateway;
    this.#clients = clients;
  }

  static async start(gateway: Gateway): Promise<LatencyProbe> {
    const clients: Client[] = [];
    for (let i = 0; i < CLIENTS; i++) clients.push(await Client.open(`${gateway.url}?topics=probe`));
    for (const client of clients) await client.find("subscribed", (m) => m.reqtype === "Subscribe" && m.code === 0);
    return new LatencyProbe(gateway, clients);
  }

  /** One heartbeat and one push after the other while `work` is running. Throws if one is not answered in 10 s. */
  async during(work: Promise<unknown>): Promise<Delays> {
    const delays: Delays = { heartbeats: [], pushes: [] };
    const state = { over: false };
    const done = work.finally(() => {
      state.over = true;
    });
    while (!state.over) {
      const client = this.#clients[this.#turn++ % CLIENTS]!;
      delays.heartbeats.push(await this.#timed(client, () => client.send("ping"), ["text", "pong"]));
      const n = this.#turn;
      delays.pushes.push(await this.#timed(client, () => this.#publish(n), ["data", n]));
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    await done;
    for (const { closed } of this.#clients)
      if (closed) throw new Error(`a client of the probe was closed: ${closed.code}`);
    return delays;
  }

  /** Milliseconds from `send` to the message that has this field. */
  async #timed(client: Client, send: () => void, [field, value]: [string, unknown]): Promise<number> {
    client.messages.length = 0;
    const arrived = new Promise<number>((resolve) => {
      const began = performance.now();
      const onMessage = (): void => {
        if (client.messages.some((message) => message[field] === value)) {
          client.socket.off("message", onMessage);
          resolve(performance.now() - began);
        }
      };
      client.socket.on("message", onMessage);
      send();
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new Error(`a client of the probe has waited for ${field} for 10 s; last publication: ${this.#published}`),
          ),
        10_000,
      );
    });
    try {
      return await Promise.race([arrived, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #publish(data: number): void {
    const { agent, port } = { agent: this.#agent, port: this.#gateway.adminPort };
    this.#published = "no answer";
    const publishing = request({ agent, port, host: "127.0.0.1", path: "/publish", method: "POST" }, (response) => {
      this.#published = `status ${response.statusCode}`;
      response.resume();
    });
    publishing.on("error", (error) => {
      this.#published = String(error);
    });
    publishing.end(JSON.stringify({ topic: "probe", data }));
  }

  /** The gateway has only these clients: everything that attackers opened is closed and counted. */
  async alone(): Promise<void> {
    const held = async (): Promise<string> =>
      JSON.stringify(
        await Promise.all([
          this.#gateway.metric("megagate_connections"),
          this.#gateway.metric("megagate_handshakes_in_flight"),
        ]),
      );
    await until("only the clients of the probe are left", held, (is) => is === JSON.stringify([CLIENTS, 0]), 30_000);
  }

  async end(): Promise<void> {
    this.#agent.destroy();
    for (const client of this.#clients) await client.end();
  }
}

/** The value below which this share of the numbers lies. */
export const quantile = (numbers: readonly number[], share: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * share)] ?? Number.NaN;
