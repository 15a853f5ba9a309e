/** Clients of the SDK that check what a subscription promises: no push missing and none twice, or a reset says so. */
import WebSocket from "ws";
import { type ClientOptions, MegagateClient, type Position, type Subscription } from "../../src/client/client.js";
import type { Gateway } from "./gateway.js";
import { until } from "./wait.js";

/** Checks that every push follows the one before it, unless a reset came between. */
export class GapDetector {
  readonly client: MegagateClient;
  readonly subscription: Subscription;
  readonly faults: string[] = [];
  resets = 0;
  at: Position | undefined;
  #isAnnounced = true;

  constructor(url: string, topic: string, options: Partial<ClientOptions>) {
    this.client = new MegagateClient({ url, WebSocket, baseMs: 200, ...options });
    this.subscription = this.client.subscribe(topic, {
      snapshot: true,
      onReset: () => {
        this.resets += 1;
        this.#isAnnounced = true;
      },
      onState: ({ epoch, offset }) => {
        if (!this.#isAnnounced) this.faults.push(`a new state at ${offset} without a reset`);
        this.#isAnnounced = false;
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

export async function startDetectors(
  gateway: Gateway,
  count: number,
  options: Partial<ClientOptions> = {},
): Promise<GapDetector[]> {
  const all = Array.from({ length: count }, () => new GapDetector(gateway.url, "t", options));
  await until(
    "all have started",
    () => all.filter(({ at }) => at).length,
    (n) => n === count,
  );
  return all;
}

/** All have the latest publication. It is published again until they do, because a lost tail shows only with the next push. */
export async function allReach(gateway: Gateway, all: readonly GapDetector[]): Promise<void> {
  await until(
    "all are connected",
    () => all.map(({ client }) => client.state),
    (states) => states.every((state) => state === "open"),
    20_000,
  );
  await until(
    "all have the latest publication",
    async () => {
      const { epoch, offset } = await gateway.publish("t", "last");
      await new Promise((resolve) => setTimeout(resolve, 100));
      return all.filter(({ at }) => at?.epoch === epoch && at.offset === offset).length;
    },
    (n) => n === all.length,
    20_000,
  );
}
