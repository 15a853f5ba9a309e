/**
 * Who a client is and what it may do, from the token of its handshake: the verifier, the grants, and the refusals. One for
 * each worker where keys are configured; without it everybody is anonymous and may follow everything. socket/ finds the token
 * in the handshake and keeps the identity as the socket's user data; session/ asks it before a topic is looked up. Worker only.
 */
import type { ServeConfig } from "../config/options.js";
import { type ErrorName, GatewayError } from "../errors.js";
import type { RefuseReason } from "../metrics/reasons.js";
import { type Grant, Grants } from "./grants.js";
import { TOKEN_FAULTS, type TokenFault, TokenVerifier } from "./jwt.js";
import { type Algorithm, KeySet, type PlainKey } from "./keys.js";
import type { Refusal } from "./refusal.js";

/** Kept with the socket: about 120 bytes, because equal grants are one object. */
export interface Identity {
  readonly grant: Grant;
  readonly sub: string | undefined;
  /** The second of the wall clock in which the token is no longer accepted. */
  readonly expirySecond: number;
}

export type AuthConfig = Pick<
  ServeConfig,
  "authAlgorithms" | "authIssuer" | "authAudience" | "authClockSkewSeconds" | "authDefaultTopics"
>;

/** `a, b` → the two; the empty text has none. */
export const listOf = (text: string): string[] => (text === "" ? [] : text.split(",").map((name) => name.trim()));

export class Authentication {
  readonly #verifier: TokenVerifier;
  readonly #grants: Grants;
  readonly #skewSeconds: number;

  constructor(keys: readonly PlainKey[], config: AuthConfig) {
    const allowed = listOf(config.authAlgorithms) as Algorithm[];
    this.#skewSeconds = config.authClockSkewSeconds;
    this.#verifier = new TokenVerifier({
      keys: new KeySet(keys),
      algorithms: new Set(allowed.length > 0 ? allowed : keys.map(({ algorithm }) => algorithm)),
      issuer: config.authIssuer === "" ? undefined : config.authIssuer,
      audiences: listOf(config.authAudience),
      skewSeconds: this.#skewSeconds,
    });
    this.#grants = new Grants(listOf(config.authDefaultTopics));
  }

  /** `nowSeconds` is the wall clock. */
  authenticate(token: string | undefined, nowSeconds: number): Identity | Refusal {
    if (token === undefined) return refuseToken("no_token", "tokenMissing");
    const verdict = this.#verifier.verify(token, nowSeconds);
    if (verdict.type === "refused") {
      const isExpired = verdict.fault === "expired";
      return isExpired ? refuseToken("expired_token", "tokenExpired") : refuseBadToken(verdict.fault);
    }
    const { exp, sub, megagate } = verdict.claims;
    const grant = this.#grants.of(megagate);
    return grant ? { grant, sub, expirySecond: Math.ceil(exp + this.#skewSeconds) } : refuseBadToken("badGrant");
  }
}

export const refuseBadToken = (fault: TokenFault): Refusal => refuseToken("bad_token", "badToken", TOKEN_FAULTS[fault]);

/** RFC 6750 §3: a request without a token is told the scheme only. */
function refuseToken(reason: RefuseReason, kind: ErrorName, detail?: string): Refusal {
  const challenge = reason === "no_token" ? "Bearer" : 'Bearer error="invalid_token"';
  return { reason, error: new GatewayError(kind, detail), headers: { "WWW-Authenticate": challenge } };
}
