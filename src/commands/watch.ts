/**
 * `megagate watch TOPIC`: the terminal's end of client/watch.ts. It finds the gateway, and gives up where there is none: an
 * address that nobody ever answered at is a wrong one, while a gateway that was there comes back.
 */
import WebSocket from "ws";
import { watchTopic } from "../client/watch.js";
import type { AdminAccess } from "../config/admin-access.js";
import { isEveryAddress } from "../config/host-address.js";
import { GatewayError } from "../errors.js";
import { isTopic, TOPIC_RULE } from "../topics/name.js";
import { ask, inWords, noGateway } from "./admin-client.js";

const CONNECT_MS = 10_000;
/** Handshakes that a gateway refuses for the moment: it is the right address. */
const COME_AGAIN = /\b(?:429|503)$/;

/** The address for clients, asked from the gateway with this private address. */
export async function watchUrl(access: AdminAccess): Promise<string> {
  const { adminUrl } = access;
  const { clients } = (await ask(access, { path: "/processes", has: "processes" })) as { clients?: unknown };
  if (typeof clients !== "string") {
    throw new GatewayError("failed", `the gateway at ${adminUrl} does not say where its clients connect: give --url`);
  }
  const url = new URL(clients);
  // It listens on every interface: the one that it was asked at will do.
  if (isEveryAddress(url.hostname.replace(/^\[|\]$/g, ""))) url.hostname = new URL(adminUrl).hostname;
  return url.href;
}

/** Until Ctrl-C, or until nobody reads any more. Throws when the gateway ends it, or was never there. */
export async function watchUntilEnd(url: string, topic: string): Promise<void> {
  if (!isTopic(topic)) throw new GatewayError("usage", `${JSON.stringify(topic)} is no topic name: ${TOPIC_RULE}`);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  process.stdout.on("error", () => stop.abort());
  let refusal: string | undefined;
  class Socket extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      this.on("error", (error) => {
        refusal = inWords(error);
      });
    }
  }
  const why = await watchTopic({
    url,
    topic,
    WebSocket: Socket,
    connectTimeoutMs: CONNECT_MS,
    write: (line) => void process.stdout.write(line),
    signal: stop.signal,
    isReachable: () => refusal !== undefined && COME_AGAIN.test(refusal),
  });
  if (why === undefined) return;
  if (why.type === "ended") throw new GatewayError("failed", why.text);
  throw noGateway(url, refusal ?? why.text);
}
