/** Honest clients, who measure what they notice of an attack: how long a heartbeat takes, and a push from publish to receipt. */
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
    for (let i = 0; i < CLIENTS; i++) clients.push(await Client.open(`${gateway.url}?topics=honest`));
    for (const client of clients) await client.find("subscribed", (m) => m.reqtype === "Subscribe" && m.code === 0);
    return new LatencyProbe(gateway, clients);
  }

  /** One heartbeat and one push after the other while `work` is under way. Throws when any is not answered in 10 s. */
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
    for (const { closed } of this.#clients) if (closed) throw new Error(`an honest client was closed: ${closed.code}`);
    return delays;
  }

  /** Milliseconds from `act` to the message that has this field. */
  async #timed(client: Client, act: () => void, [field, value]: [string, unknown]): Promise<number> {
    client.messages.length = 0;
    const came = new Promise<number>((resolve) => {
      const began = performance.now();
      const look = (): void => {
        if (client.messages.some((message) => message[field] === value)) {
          client.socket.off("message", look);
          resolve(performance.now() - began);
        }
      };
      client.socket.on("message", look);
      act();
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`an honest client waits for ${field} for 10 s; last publication: ${this.#published}`)),
        10_000,
      );
    });
    try {
      return await Promise.race([came, late]);
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
    publishing.end(JSON.stringify({ topic: "honest", data }));
  }

  /** The gateway holds nothing but these clients: what attackers opened is gone, and accounted for. */
  async alone(): Promise<void> {
    const held = async (): Promise<string> =>
      JSON.stringify(
        await Promise.all([
          this.#gateway.metric("megagate_connections"),
          this.#gateway.metric("megagate_handshakes_in_flight"),
        ]),
      );
    await until("only honest clients are left", held, (is) => is === JSON.stringify([CLIENTS, 0]), 30_000);
  }

  async end(): Promise<void> {
    this.#agent.destroy();
    for (const client of this.#clients) await client.end();
  }
}

/** The value below which a share of the numbers lies. */
export const quantile = (numbers: readonly number[], share: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * share)] ?? Number.NaN;
