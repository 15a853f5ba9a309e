/**
 * Deliveries a second at 20,000 subscribers of one topic: one message at a time, and 100 in one request, each twice for
 * the noise of this machine. Gateway and subscribers share its cores. Every delivery is counted at its subscriber.
 */
import { load } from "../support/evidence.js";
import { Gateway } from "../support/gateway.js";

const SUBSCRIBERS = 20_000;
const BROADCASTS = 5;

export interface DeliveryFigure {
  readonly run: string;
  readonly subscribers: number;
  readonly messages: number;
  /** Median of the run's broadcasts, and the milliseconds of that one. */
  readonly deliveriesPerSecond: number;
  readonly lastSubscriberMs: number;
}

export async function deliver(): Promise<DeliveryFigure[]> {
  await using gateway = await Gateway.start("--connections", String(SUBSCRIBERS));
  const figures: DeliveryFigure[] = [];
  for (const messages of [1, 1, 100, 100]) figures.push(await run(gateway, messages, figures));
  return figures;
}

async function run(gateway: Gateway, messages: number, before: readonly DeliveryFigure[]): Promise<DeliveryFigure> {
  const sizes = ["--connections", String(SUBSCRIBERS), "--broadcasts", String(BROADCASTS)];
  const { exit, evidence } = await load(
    gateway,
    ...sizes,
    "--broadcast-messages",
    String(messages),
    "--hold-seconds",
    "1",
  );
  if (evidence.verdict !== "held") throw new Error(`the subscribers did not get everything: ${exit.stdout}`);
  const sorted = evidence.broadcasts.toSorted((a, b) => (a.deliveriesPerSecond ?? 0) - (b.deliveriesPerSecond ?? 0));
  const median = sorted[Math.floor(sorted.length / 2)]!;
  const again = before.some((figure) => figure.messages === messages) ? ", again" : "";
  const figure = {
    run: `${messages} at once${again}`,
    subscribers: SUBSCRIBERS,
    messages,
    deliveriesPerSecond: median.deliveriesPerSecond!,
    lastSubscriberMs: median.lastSubscriberMs!,
  };
  process.stdout.write(
    `deliver to ${SUBSCRIBERS}, ${figure.run}: ${figure.deliveriesPerSecond} a second, the last after ${figure.lastSubscriberMs} ms\n`,
  );
  return figure;
}
