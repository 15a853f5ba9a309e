/**
 * The keys of the admin port: whether a request shows one, and whether that one may do what it asks. Decided from the head
 * alone, before a byte of the body is read. Only digests are held here, and all of them are compared each time, so that the time
 * tells nothing. The supervisor reads the file and sends the keys (supervision/key-file.ts). Hub process only.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { AdminKey, Scope } from "../config/admin-keys.js";
import { RefusedRequest } from "./guard.js";

/** What a route asks of a key; "none" where nobody needs one. */
export type RouteScope = Scope | "none";

interface HeldKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly digest: Buffer;
}

const NO_KEY = "send a key of --admin-keys-file as the header Authorization: Bearer KEY";
/** More than one space is harmless; any other blank is no part of the scheme (RFC 9110 §11.4). */
const BEARER = /^bearer +([^\s,]+)$/i;

export class AdminKeys {
  #held: readonly HeldKey[] | undefined;
  /** Requests whose body still comes, with what let them in: a stream of lines may last for days. */
  readonly #underWay = new Map<IncomingMessage, { readonly digest: Buffer; readonly scope: Scope }>();

  /** Without keys nobody needs one, which only a port on loopback may do (config/options.ts). */
  constructor(keys: readonly AdminKey[] | null) {
    this.#held = keys === null ? undefined : held(keys);
  }

  /** New keys count at once; cuts the requests under way whose key may no longer do it, and returns how many. */
  replace(keys: readonly AdminKey[]): number {
    this.#held = held(keys);
    let cut = 0;
    for (const [request, { digest, scope }] of this.#underWay) {
      if (this.#find(digest)?.scopes.includes(scope)) continue;
      request.destroy();
      cut += 1;
    }
    return cut;
  }

  /** Throws RefusedRequest. `scope` is undefined where there is no such route: who has no key does not learn that. */
  admit(request: IncomingMessage, scope: RouteScope | undefined): void {
    if (this.#held === undefined || scope === "none") return;
    const digest = shown(request);
    const key = this.#find(digest);
    if (key === undefined)
      throw new RefusedRequest("keyNeeded", "wrong_key", `this gateway does not know the key: ${NO_KEY}`);
    if (scope === undefined) return;
    if (!key.scopes.includes(scope)) {
      const detail = `the key ${key.name} has the scope ${key.scopes.join(", ")}, and this request needs ${scope}: add it in --admin-keys-file, or take another key`;
      throw new RefusedRequest("keyLacksScope", "missing_scope", detail);
    }
    if (request.complete) return;
    this.#underWay.set(request, { digest, scope });
    request.once("close", () => this.#underWay.delete(request));
  }

  #find(digest: Buffer): HeldKey | undefined {
    let found: HeldKey | undefined;
    for (const key of this.#held ?? []) if (timingSafeEqual(key.digest, digest)) found = key;
    return found;
  }
}

const held = (keys: readonly AdminKey[]): HeldKey[] =>
  keys.map(({ name, scopes, digest }) => ({ name, scopes, digest: Buffer.from(digest, "hex") }));

/** The digest of the key that the request shows. Node keeps the first of two headers: which one is meant, nobody knows. */
function shown({ headersDistinct }: IncomingMessage): Buffer {
  const { authorization = [] } = headersDistinct;
  if (authorization.length > 1) throw new RefusedRequest("keyNeeded", "no_key", "two Authorization headers: send one");
  const key = BEARER.exec(authorization[0] ?? "")?.[1];
  if (key === undefined) throw new RefusedRequest("keyNeeded", "no_key", `this gateway asks for a key: ${NO_KEY}`);
  return createHash("sha256").update(key, "latin1").digest();
}
