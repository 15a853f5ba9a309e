/**
 * Which web pages may connect: the list of --allowed-origins. A browser says in `Origin` of which site a page is, and no page
 * can change that; a program may send what it likes, or nothing. So the list protects people from pages of others, and
 * authenticates nobody. Pure: texts in, verdicts out. Runs in workers, and in the command line, which checks the option.
 */
import { domainToASCII } from "node:url";
import { GatewayError } from "../errors.js";
import type { Refusal } from "./refusal.js";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };
/** Scheme, host and port (RFC 6454 §6.2), and nothing else: neither user, path, nor the root's dot. */
const ORIGIN = /^([a-z][a-z\d+.-]*):\/\/((?:[\w-]+\.)*[\w-]+|\[[\da-f:.]+\])(?::(\d{1,5}))?$/;

export class AllowedOrigins {
  readonly #exact = new Set<string>();
  /** Those with a star. */
  readonly #patterns = new Set<string>();

  /** Throws where an entry of `list` is invalid (isOriginList). */
  constructor(list: string) {
    for (const entry of list.split(",")) {
      const origin = parseEntry(entry);
      if (origin === undefined) throw new Error(`not an origin: ${entry}`);
      (origin.includes("*") ? this.#patterns : this.#exact).add(origin);
    }
  }

  allows(origin: string): boolean {
    if (this.#exact.has(origin)) return true;
    const canonical = canonicalOrigin(origin);
    if (canonical === undefined) return false;
    // The star is one label, as in certificates.
    return this.#exact.has(canonical) || this.#patterns.has(canonical.replace(/:\/\/[\w-]+\./, "://*."));
  }
}

export const isOriginList = (list: string): boolean =>
  list.split(",").every((entry) => parseEntry(entry) !== undefined);

/** Undefined where the page may connect. `origin` is all lines of the header; undefined where there is none: no browser. */
export function refuseOrigin(origins: AllowedOrigins, origin: string | undefined): Refusal | undefined {
  if (origin === undefined || origins.allows(origin)) return undefined;
  return { reason: "foreign_origin", error: new GatewayError("foreignOrigin") };
}

/** Any page may read the answer: the original front end is served elsewhere. */
export const ANY_PAGE = { "Access-Control-Allow-Origin": "*" } as const;

/** Which pages may read a plain answer, as headers (the Fetch standard, §3.3). */
export function corsHeaders(
  origins: AllowedOrigins,
  origin: string | undefined,
): Readonly<{ "Access-Control-Allow-Origin"?: string; Vary: string }> {
  const isAllowed = origin !== undefined && origins.allows(origin);
  return { ...(isAllowed && { "Access-Control-Allow-Origin": origin }), Vary: "Origin" };
}

/** One entry in canonical form; undefined where it is none. */
function parseEntry(entry: string): string | undefined {
  const [, scheme = "", star = "", host = "", port = ""] =
    /^([^:]*):\/\/(\*\.)?([^:/?#@%\\]+|\[[^\]]*\])(:.*)?$/.exec(entry.trim()) ?? [];
  if (star !== "" && host.startsWith("[")) return undefined;
  // Browsers send names of other scripts in their ASCII form.
  const name = /[\u0080-\uffff]/.test(host) ? domainToASCII(host) : host;
  return canonicalOrigin(`${scheme}://${name}${port}`)?.replace("://", `://${star}`);
}

/** In lower case and without the default port, as browsers send it; undefined where it is none, like `null` and `file://`. */
function canonicalOrigin(text: string): string | undefined {
  const [, scheme, host, port] = ORIGIN.exec(text.toLowerCase()) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  const number = port === undefined ? undefined : Number(port);
  if (number === 0 || (number ?? 0) > 65_535) return undefined;
  if (host.startsWith("[") && !URL.canParse(`http://${host}`)) return undefined;
  const name = host.startsWith("[") ? new URL(`http://${host}`).hostname : host;
  return `${scheme}://${name}${number === undefined || number === DEFAULT_PORTS[scheme] ? "" : `:${number}`}`;
}
