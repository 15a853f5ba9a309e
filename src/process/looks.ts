/** The routes of the admin port that show what there is and change nothing. Hub process only. */
import { returnRate } from "../admission/budget.js";
import { GOODBYE_RATE } from "../config/capacity.js";
import type { ServeConfig } from "../config/options.js";
import { GatewayError } from "../errors.js";
import type { Acceptor } from "../hub/acceptor.js";
import type { Hub } from "../hub/hub.js";
import { listTopics } from "../hub/topic-list.js";
import type { Fleet } from "../metrics/fleet.js";
import { VERSION } from "../platform.js";
import { WEBSOCKET_PATH } from "../session/paths.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import type { Routes } from "./admin.js";
import type { DrainFacts } from "./drain-plan.js";

const SLOWEST_SHOWN = 50;

export interface Shown {
  readonly hub: Hub;
  readonly acceptor: Acceptor;
  readonly fleet: Fleet;
  readonly config: ServeConfig;
  /** Connections at which one worker stops listening. */
  readonly workerCap: number;
  /** Resolves when all that happened until now is in the log: nothing is shown that could be undone. */
  flushed(): Promise<void> | undefined;
  /** Handshakes a second by the storm budget. */
  acceptRate(): number;
}

export function looks({ hub, acceptor, fleet, config, workerCap, ...shown }: Shown): Routes {
  const connections = (): number => fleet.total("connections");
  return {
    "GET /topics": async (request) => {
      const body = await listTopics(hub, acceptor, request.url ?? "");
      await shown.flushed();
      return { body };
    },
    "GET /topics/{name}": async (_request, name) => {
      const body = await describe(hub, acceptor, name);
      await shown.flushed();
      return { body };
    },
    "GET /slow-readers": async () => ({ body: { readers: await acceptor.slowest(SLOWEST_SHOWN) } }),
    "GET /openapi.json": async () => {
      const { openApi } = await import("../publish/openapi.js");
      return { body: openApi({ version: VERSION, maxPublicationBytes: config.maxPublicationBytes }) };
    },
    "GET /drain": () => ({
      body: {
        connections: connections(),
        workers: fleet.members().map((member) => member.connections),
        cap: workerCap,
        returnPerSecond: returnRate(shown.acceptRate()),
        goodbyePerSecond: GOODBYE_RATE,
        stopSeconds: config.stopSeconds,
        stopNoticeSeconds: config.stopNoticeSeconds,
      } satisfies DrainFacts,
    }),
    "GET /processes": () => ({
      body: {
        processes: [
          { role: "supervisor", pid: process.ppid },
          { role: "hub", pid: process.pid },
          ...fleet.members().map((member) => ({ role: "worker", ...member })),
        ],
        connections: connections(),
        clients: `ws://${config.host}:${config.port}${WEBSOCKET_PATH}`,
      },
    }),
  };
}

/** A topic as the hub knows it, and how many sockets follow it. */
async function describe(hub: Hub, acceptor: Acceptor, name: string): Promise<object> {
  if (!isTopic(name)) throw new GatewayError("badTopic", `topic: ${TOPIC_RULE}`);
  const topic = hub.describe(name);
  if (!topic) throw new GatewayError("notFound", `no such topic: nobody published to ${name} or asked for it`);
  const subscribers = await acceptor.subscribers(name);
  const state = topic.state.map(({ key, data }) => ({ key, data: JSON.parse(data) as unknown }));
  return { ...topic, subscribers, state };
}
