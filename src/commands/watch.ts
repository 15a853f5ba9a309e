/**
 * `megagate watch TOPIC`: the terminal's end of client/watch.ts. It finds the gateway, and gives up where there is none: an
 * address that nobody ever answered at is a wrong one, while a gateway that was there comes back.
 */
import { readFileSync } from "node:fs";
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
const UNAUTHORIZED = /\b401$/;

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

export interface Watched {
  readonly url: string;
  readonly topic: string;
  /** "" where no token is shown. */
  readonly tokenFile: string;
}

function tokenIn(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new GatewayError("config", `--token-file: ${path} cannot be read: ${inWords(error)}`);
  }
}

/** Why a gateway that answered did not let the client in; undefined where it is none. */
function whyNotLetIn(url: string, tokenFile: string, refusal: string | undefined): GatewayError | undefined {
  if (refusal === undefined || !UNAUTHORIZED.test(refusal)) return undefined;
  const why =
    tokenFile === ""
      ? "asks for a token: name a file that holds one with --token-file or MEGAGATE_TOKEN_FILE"
      : `does not accept the token in ${tokenFile}: it may have expired, or be for another gateway`;
  return new GatewayError("failed", `the gateway at ${url} ${why}`);
}

/** Until Ctrl-C, or until nobody reads any more. Throws when the gateway ends it, does not let it in, or was never there. */
export async function watchUntilEnd({ url, topic, tokenFile }: Watched): Promise<void> {
  if (!isTopic(topic)) throw new GatewayError("usage", `${JSON.stringify(topic)} is no topic name: ${TOPIC_RULE}`);
  if (tokenFile !== "") tokenIn(tokenFile);
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
    ...(tokenFile !== "" && { token: () => tokenIn(tokenFile) }),
    WebSocket: Socket,
    connectTimeoutMs: CONNECT_MS,
    write: (line) => void process.stdout.write(line),
    signal: stop.signal,
    isReachable: () => refusal !== undefined && COME_AGAIN.test(refusal),
  });
  if (why === undefined) return;
  if (why.type === "ended") throw new GatewayError("failed", why.text);
  throw whyNotLetIn(url, tokenFile, refusal) ?? noGateway(url, refusal ?? why.text);
}
