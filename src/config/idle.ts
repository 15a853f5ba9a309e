/**
 * What follows from the idle timeout: its default behind a proxy, and how often clients should send heartbeats. nginx and
 * most load balancers cut a connection on which their upstream has sent nothing for 60 s, so there a ping must go before;
 * elsewhere 120 s halve the pings, which at a million connections cost a fifth of a core less. Pure; any process.
 */
import type { SERVE_OPTIONS } from "./options.js";
import type { Resolved } from "./resolve.js";

const BEHIND_PROXY_SECONDS = 60;
/**
 * A client finds out by its heartbeat that the gateway is gone, and should not have to wait longer than this. A heartbeat
 * costs a worker more than twice what a ping does (load/results, idle-cost), so clients are not asked for more of them to
 * spare pings; at the usual timeout it comes before the ping, which goes after 104 s, and spares it.
 */
const HEARTBEAT_SECONDS = 100;

type ServeOptions = typeof SERVE_OPTIONS;

/** The options with the idle timeout that suits them, where none was given. */
export function withIdleTimeout({ config, sources }: Resolved<ServeOptions>): Resolved<ServeOptions> {
  if (sources.idleTimeoutSeconds !== "default" || config.trustedProxies === "") return { config, sources };
  return { config: Object.freeze({ ...config, idleTimeoutSeconds: BEHIND_PROXY_SECONDS }), sources };
}

/**
 * How long a client should be idle before its heartbeat; advised where clients are many. Undefined where connections are not
 * pinged: then nothing else keeps them alive on their way, and a client's usual 25 s are right.
 */
export function advisedHeartbeatMs(idleTimeoutSeconds: number): number | undefined {
  return idleTimeoutSeconds === 0 ? undefined : HEARTBEAT_SECONDS * 1000;
}
