/**
 * The routes of the admin port: publish, look, restart workers, each with the scope that a key needs for it. Each asks the
 * room that owns the matter. Hub process only.
 */
import type { Registry } from "prom-client";
import { returnRate } from "../admission/budget.js";
import { GOODBYE_RATE } from "../config/capacity.js";
import { urlHost } from "../config/host-address.js";
import type { ServeConfig } from "../config/options.js";
import type { DrainFacts } from "../drain/plan.js";
import { GatewayError } from "../errors.js";
import type { Acceptor } from "../hub/acceptor.js";
import type { Hub } from "../hub/hub.js";
import { listTopics } from "../hub/topic-list.js";
import type { Fleet } from "../metrics/fleet.js";
import { VERSION } from "../platform.js";
import { WEBSOCKET_PATH } from "../protocol/messages.js";
import type { PublishApi } from "../publish/api.js";
import { type PageRequest, pageRequest } from "../publish/page-request.js";
import type { RollState } from "../supervision/control-channel.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import type { Readiness } from "./readiness.js";
import type { Route, Routes } from "./server.js";
import { Turns } from "./turns.js";

const SLOWEST_SHOWN = 50;

export interface RouteDeps extends InspectDeps {
  readonly publishApi: Pick<PublishApi, "publish">;
  readonly registry: Pick<Registry, "metrics" | "contentType">;
  readonly readiness: Pick<Readiness, "answer">;
  readonly rolling: { state(): RollState; begin(): RollState };
}

export function adminRoutes(deps: RouteDeps): Routes {
  const { publishApi, registry, readiness, rolling } = deps;
  return {
    "POST /publish": { scope: "publish", answer: async (request) => ({ body: await publishApi.publish(request) }) },
    "GET /metrics": {
      scope: "read",
      answer: async () => ({ body: await registry.metrics(), contentType: registry.contentType }),
    },
    // Load balancers and Kubernetes send no keys; the two say whether the gateway works, and nothing of what it carries.
    "GET /healthz": { scope: "none", answer: () => ({ body: { status: "alive" } }) },
    "GET /readyz": { scope: "none", answer: () => readiness.answer() },
    "POST /restart-workers": { scope: "operate", answer: () => ({ status: 202, body: rolling.begin() }) },
    // So that one scope is enough for `megagate restart-workers`, which waits for the end.
    "GET /restart-workers": { scope: "operate", answer: () => ({ body: rolling.state() }) },
    ...inspectRoutes(deps),
  };
}

export interface InspectDeps {
  readonly hub: Hub;
  readonly acceptor: Acceptor;
  readonly fleet: Fleet;
  readonly config: ServeConfig;
  /** Connections at which one worker stops listening. */
  readonly workerCap: number;
  /** Resolves when all that happened until now is in the log: nothing is shown that could be undone. */
  readonly flushed: () => Promise<void> | undefined;
  /** Handshakes a second by the storm budget. */
  readonly acceptRate: () => number;
}

/** What shows how things are and changes nothing. */
function inspectRoutes({ hub, acceptor, fleet, config, workerCap, flushed, acceptRate }: InspectDeps): Routes {
  const turns = new Turns();
  const connections = (): number => fleet.total("connections");
  const read = (answer: Route["answer"]): Route => ({ scope: "read", answer });
  return {
    "GET /topics": read(async (request) => {
      const body = await listTopics(hub, acceptor, request.url ?? "");
      await flushed();
      return { body };
    }),
    "GET /topics/{name}": read(async ({ url = "" }, name) => {
      const page = pageRequest(url);
      if (!isTopic(name)) throw new GatewayError("badTopic", `topic: ${TOPIC_RULE}`);
      if (!hub.describe(name)) throw noSuchTopic(name);
      const subscribers = await acceptor.subscribers(name);
      await turns.mine();
      const body = describe(hub, { name, subscribers, ...page });
      await flushed();
      return { body, contentType: "application/json" };
    }),
    "GET /slow-readers": read(async () => ({ body: { readers: await acceptor.slowest(SLOWEST_SHOWN) } })),
    "GET /openapi.json": read(async () => {
      const { openApi } = await import("../publish/openapi.js");
      return { body: openApi({ version: VERSION, maxPublicationBytes: config.maxPublicationBytes }) };
    }),
    "GET /drain": read(() => ({
      body: {
        connections: connections(),
        workers: fleet.members().map((member) => member.connections),
        cap: workerCap,
        returnPerSecond: returnRate(acceptRate()),
        goodbyePerSecond: GOODBYE_RATE,
        stopSeconds: config.stopSeconds,
        stopNoticeSeconds: config.stopNoticeSeconds,
      } satisfies DrainFacts,
    })),
    "GET /processes": read(() => ({
      body: {
        processes: [
          { role: "supervisor", pid: process.ppid },
          { role: "hub", pid: process.pid },
          ...fleet.members().map((member) => ({ role: "worker", ...member })),
        ],
        connections: connections(),
        clients: `ws://${urlHost(config.host)}:${config.port}${WEBSOCKET_PATH}`,
      },
    })),
  };
}

const noSuchTopic = (name: string): GatewayError =>
  new GatewayError("notFound", `no such topic: nobody published to ${name} or asked for it`);

/**
 * A topic as the hub knows it, how many sockets follow it, and a page of its state. JSON text: data is passed on as it
 * came, unread. Throws `notFound` when it was forgotten while the workers were asked.
 */
function describe(
  hub: Hub,
  { name, subscribers, limit, after }: PageRequest & { name: string; subscribers: number },
): string {
  const description = hub.describe(name);
  if (!description) throw noSuchTopic(name);
  const { topic, epoch, offset, history } = description;
  const { entries, next } = hub.statePage(name, limit, after);
  const head = JSON.stringify({ topic, epoch, offset, history, subscribers }).slice(0, -1);
  const state = entries.map(({ key, data }) => `{"key":${JSON.stringify(key)},"data":${data}}`).join();
  const more = next === undefined ? "" : `,"next":${JSON.stringify(next)}`;
  return `${head},"state":[${state}]${more}}\n`;
}
