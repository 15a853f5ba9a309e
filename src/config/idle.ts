/**
 * What follows from the idle timeout: its default behind a proxy, and how often clients should send heartbeats. nginx and
 * most load balancers cut a connection on which their upstream has sent nothing for 60 s, so there a ping must go before;
 * elsewhere 120 s halve the pings, which at a million connections cost a fifth of a core less. Pure; any process.
 */
import type { SERVE_OPTIONS } from "./options.js";
import type { Resolved } from "./resolve.js";

/** uWebSockets pings so long before it would close, from 32 s on (it looks every 4 s). */
const PING_BEFORE_SECONDS = 16;
const BEHIND_PROXY_SECONDS = 60;
/** A client finds out by its heartbeat that the gateway is gone: it should not have to wait longer than this. */
const MAX_HEARTBEAT_SECONDS = 100;
/** What clients do unadvised. */
const USUAL_HEARTBEAT_SECONDS = 25;

type ServeOptions = typeof SERVE_OPTIONS;

/** The options with the idle timeout that suits them, where none was given. */
export function withIdleTimeout({ config, sources }: Resolved<ServeOptions>): Resolved<ServeOptions> {
  if (sources.idleTimeoutSeconds !== "default" || config.trustedProxies === "") return { config, sources };
  return { config: Object.freeze({ ...config, idleTimeoutSeconds: BEHIND_PROXY_SECONDS }), sources };
}

/**
 * How long a client may be idle before its heartbeat: just below the time of a ping, which it then spares. Undefined where
 * connections are neither pinged nor closed, or so soon that a client's usual time is right.
 */
export function advisedHeartbeatMs(idleTimeoutSeconds: number): number | undefined {
  const seconds = Math.min(idleTimeoutSeconds - PING_BEFORE_SECONDS - 4, MAX_HEARTBEAT_SECONDS);
  return seconds > USUAL_HEARTBEAT_SECONDS ? seconds * 1000 : undefined;
}
