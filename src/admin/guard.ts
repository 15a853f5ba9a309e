/**
 * Keeps web pages away from the admin port: everybody who reaches it may publish, and a browser on the operator's machine reaches
 * it for every page that is open there. A page of another site is known by its `Origin` or by `Sec-Fetch-Site`; a page whose
 * owner pointed its name at this machine (DNS rebinding) by its `Host`. Tools send none of the three but a Host, which for
 * them is an address, `localhost` or a name of --admin-hostnames. Pure; runs in the hub process, before any route.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { GatewayError } from "../errors.js";
import type { AdminRefuseReason } from "../metrics/reasons.js";

/** A request that no route may see, and what it is counted as. */
export class RefusedRequest extends GatewayError {
  constructor(
    kind: "foreignPage" | "foreignHost" | "keyNeeded" | "keyLacksScope",
    readonly reason: AdminRefuseReason,
    detail: string,
  ) {
    super(kind, detail);
  }
}

/** The names of --admin-hostnames, as `Host` is compared with them. */
export function adminHostnames(list: string): ReadonlySet<string> {
  return new Set(list.split(",").map(hostname).filter(Boolean));
}

/** Throws RefusedRequest for what a web page of somebody else could have sent. */
export function refuseForeign(headers: IncomingHttpHeaders, names: ReadonlySet<string>): void {
  const { host, origin, "sec-fetch-site": site } = headers;
  // HTTP/1.0 may leave it out, as health checks do; Node refuses HTTP/1.1 without it, and browsers always send it.
  if (host !== undefined && !isOurs(hostname(host), names)) {
    const detail = `the admin port does not answer under the name ${JSON.stringify(host)}: use an address or localhost, or start the gateway with --admin-hostnames ${hostname(host)}`;
    throw new RefusedRequest("foreignHost", "foreign_host", detail);
  }
  const isCrossSite = site?.trim().toLowerCase() === "cross-site";
  if (!isCrossSite && (origin === undefined || isOwn(origin, host))) return;
  const from = origin === undefined ? "another site" : JSON.stringify(origin);
  const detail = `the admin port does not answer web pages of others, and this request is of a page of ${from}: publish from a server, or through a proxy that checks who it is and leaves Origin out`;
  throw new RefusedRequest("foreignPage", "foreign_page", detail);
}

/** Without port, brackets and the root's dot, in lower case. */
function hostname(host: string): string {
  const text = host.trim().toLowerCase();
  const bare = /^\[([^\]]*)\](?::\d*)?$/.exec(text)?.[1] ?? text.replace(/:\d*$/, "");
  return bare.replace(/\.$/, "");
}

const isOurs = (name: string, names: ReadonlySet<string>): boolean =>
  isIP(name) !== 0 || name === "localhost" || names.has(name);

/** Scheme aside, which a proxy may have changed. `null`, the origin of sandboxed frames and files, is nobody's own. */
function isOwn(origin: string, host: string | undefined): boolean {
  const [, scheme, authority] = /^(https?):\/\/([^/]+)$/i.exec(origin.trim()) ?? [];
  if (host === undefined || scheme === undefined || authority === undefined) return false;
  const port = scheme.toLowerCase() === "https" ? ":443" : ":80";
  const whole = (text: string): string => (/:\d+$/.test(text) ? text : text + port).toLowerCase();
  return whole(authority) === whole(host.trim());
}
