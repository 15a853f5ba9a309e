/** Clients of the SDK that watch the promise of a subscription: no push missing and none twice, or a reset says so. */
import WebSocket from "ws";
import { type ClientOptions, MegagateClient, type Position, type Subscription } from "../../src/client/client.js";
import type { Gateway } from "./gateway.js";
import { until } from "./wait.js";

/** Sees that every push follows the one before, or that a reset said otherwise. */
export class GapDetector {
  readonly client: MegagateClient;
  readonly subscription: Subscription;
  readonly faults: string[] = [];
  resets = 0;
  at: Position | undefined;
  #told = true;

  constructor(url: string, topic: string, options: Partial<ClientOptions>) {
    this.client = new MegagateClient({ url, WebSocket, baseMs: 200, ...options });
    this.subscription = this.client.subscribe(topic, {
      snapshot: true,
      onReset: () => {
        this.resets += 1;
        this.#told = true;
      },
      onState: ({ epoch, offset }) => {
        if (!this.#told) this.faults.push(`began anew at ${offset} untold`);
        this.#told = false;
        this.at = { epoch, offset };
      },
      onPush: ({ epoch, offset }) => {
        if (epoch !== this.at?.epoch || offset !== this.at.offset + 1)
          this.faults.push(`${this.at?.offset} then ${offset}`);
        this.at = { epoch, offset };
      },
    });
  }
}

export async function witnesses(
  gateway: Gateway,
  count: number,
  options: Partial<ClientOptions> = {},
): Promise<GapDetector[]> {
  const all = Array.from({ length: count }, () => new GapDetector(gateway.url, "t", options));
  await until(
    "all have begun",
    () => all.filter(({ at }) => at).length,
    (n) => n === count,
  );
  return all;
}

/** The last publication that counts; published anew until everybody has it, because a lost tail shows only then. */
export async function allReach(gateway: Gateway, all: readonly GapDetector[]): Promise<void> {
  await until(
    "everybody is back",
    () => all.map(({ client }) => client.state),
    (states) => states.every((state) => state === "open"),
    20_000,
  );
  await until(
    "everybody is where the gateway is",
    async () => {
      const { epoch, offset } = await gateway.publish("t", "last");
      await new Promise((resolve) => setTimeout(resolve, 100));
      return all.filter(({ at }) => at?.epoch === epoch && at.offset === offset).length;
    },
    (n) => n === all.length,
    20_000,
  );
}
