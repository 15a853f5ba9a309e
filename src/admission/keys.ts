/**
 * The keys that tokens are verified with: read from a secret, PEM or JWKS file by the supervisor, passed to workers as plain
 * data over their control channel (never in arguments or the environment), and prepared there once. Each key belongs to one
 * algorithm, so that no token can choose how its key is used. Weak, private and unclear keys are refused in words that name
 * the remedy and never show the key. Reads no files itself.
 */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { GatewayError } from "../errors.js";
import { type JsonObject, parseStrictObject } from "./strict-json.js";

export const ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** A key as it passes between processes. */
export interface PlainKey {
  readonly algorithm: Algorithm;
  readonly kid?: string;
  /** Base64: the bytes of a secret, or the DER of a public key (SPKI). */
  readonly material: string;
}

export interface Key {
  readonly algorithm: Algorithm;
  readonly material: KeyObject;
}

/** RFC 7518 §3.2: at least as long as the hash. */
const MIN_SECRET_BYTES = 32;
/** Below it, a secret is a pattern such as a repeated word; 32 random bytes have 30 different ones. */
const MIN_DISTINCT_BYTES = 8;
const MIN_RSA_BITS = 2048;
/** A verification with 8,192 bits costs about ten times one with 2,048. */
const MAX_RSA_BITS = 8192;
/** Keys without a kid are tried one after the other, and each costs a verification. */
const MAX_KEYS_WITHOUT_ID = 4;
const MAX_KEYS = 64;
export const MAX_KEY_ID_CHARACTERS = 256;

const refuse = (path: string, why: string): GatewayError => new GatewayError("config", `${path}: ${why}`);

/** The bytes of the file are the secret; a line break at its end is not part of it. */
export function keyOfSecret(path: string, file: Buffer): PlainKey {
  const text = file.toString("latin1").replace(/\r?\n$/, "");
  if (text.includes("-----BEGIN")) {
    throw refuse(path, "this is a PEM key, not a shared secret; give public keys by --auth-public-key-file");
  }
  if (text.length < MIN_SECRET_BYTES) {
    const remedy = "make one with: openssl rand -hex 32";
    throw refuse(path, `a secret for HS256 has at least ${MIN_SECRET_BYTES} bytes, this one ${text.length}; ${remedy}`);
  }
  if (new Set(text).size < MIN_DISTINCT_BYTES) {
    throw refuse(path, "the secret repeats a few characters; make one with: openssl rand -hex 32");
  }
  return { algorithm: "HS256", material: Buffer.from(text, "latin1").toString("base64") };
}

/** One or several public keys or certificates; text around the blocks is not looked at. */
export function keysOfPem(path: string, file: Buffer): PlainKey[] {
  const text = file.toString("latin1");
  if (text.includes("PRIVATE KEY-----")) {
    throw refuse(path, `holds a private key; the gateway needs the public one only: openssl pkey -in KEY -pubout`);
  }
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g)];
  if (text.split("-----BEGIN").length - 1 > blocks.length) throw refuse(path, "a PEM block in it is not complete");
  const materials = new Map<string, PlainKey>();
  for (const [index, [block, label = ""]] of blocks.entries()) {
    const name = `key ${index + 1} (${label})`;
    if (!["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"].includes(label)) {
      throw refuse(path, `${name}: must be a PUBLIC KEY, an RSA PUBLIC KEY or a CERTIFICATE`);
    }
    const key = plainKey(importKey(() => createPublicKey(block)));
    if (typeof key === "string") throw refuse(path, `${name}: ${key}`);
    materials.set(key.material, key);
  }
  if (materials.size === 0) throw refuse(path, "has no PEM block that begins with -----BEGIN PUBLIC KEY-----");
  return [...materials.values()];
}

export interface JwksKeys {
  readonly keys: readonly PlainKey[];
  /** Keys that are not for signatures, or of other algorithms: identity providers publish them in the same set. */
  readonly skipped: readonly string[];
}

/** A JSON Web Key Set (RFC 7517). */
export function keysOfJwks(path: string, file: Buffer): JwksKeys {
  const set = parseStrictObject(file);
  if (!set || !Array.isArray(set.keys)) {
    throw refuse(path, 'must be a JSON object {"keys":[…]} with distinct members (a JSON Web Key Set)');
  }
  const rows: readonly unknown[] = set.keys;
  if (rows.length > MAX_KEYS) throw refuse(path, `has ${rows.length} keys; at most ${MAX_KEYS}`);
  const keys: PlainKey[] = [];
  const skipped: string[] = [];
  for (const [index, row] of rows.entries()) {
    const name = `key ${index + 1}`;
    if (typeof row !== "object" || row === null || Array.isArray(row)) throw refuse(path, `${name}: must be an object`);
    const key = keyOfJwk(row as JsonObject);
    if ("key" in key) keys.push(key.key);
    else if ("skip" in key) skipped.push(`${path}: ${name} is not used: ${key.skip}`);
    else throw refuse(path, `${name}: ${key.refuse}`);
  }
  if (keys.length === 0) {
    throw refuse(path, ["has no key for RS256, ES256 or EdDSA signatures", ...skipped].join("; "));
  }
  return { keys, skipped };
}

type JwkVerdict = { readonly key: PlainKey } | { readonly skip: string } | { readonly refuse: string };

function keyOfJwk(jwk: JsonObject): JwkVerdict {
  const { kty, kid } = jwk;
  if (kty === "oct") return { refuse: "is a shared secret; give it by --auth-secret-file" };
  if (jwk.d !== undefined) return { refuse: `is a private key; the set must hold public keys only` };
  if (kid !== undefined && (typeof kid !== "string" || kid === "" || kid.length > MAX_KEY_ID_CHARACTERS)) {
    return { refuse: `kid must be a text of 1 to ${MAX_KEY_ID_CHARACTERS} characters` };
  }
  if (jwk.use !== undefined && jwk.use !== "sig") return { skip: `its use is ${JSON.stringify(jwk.use)}` };
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes("verify")) return { skip: "key_ops lacks verify" };
  const isKnown = kty === "RSA" || (kty === "EC" && jwk.crv === "P-256") || (kty === "OKP" && jwk.crv === "Ed25519");
  if (!isKnown) return { skip: "only RSA, EC with P-256 and OKP with Ed25519 are used" };
  const key = plainKey(importKey(() => createPublicKey({ key: jwk as JsonWebKey, format: "jwk" })));
  if (typeof key === "string") return { refuse: key };
  if (jwk.alg !== undefined && jwk.alg !== key.algorithm) return { skip: `its alg is ${JSON.stringify(jwk.alg)}` };
  return { key: kid === undefined ? key : { ...key, kid } };
}

function importKey(create: () => KeyObject): KeyObject | undefined {
  try {
    return create();
  } catch {
    // The reason of OpenSSL could show parts of the key.
    return undefined;
  }
}

/** A public key with the one algorithm that it serves; else why not, in words. */
function plainKey(key: KeyObject | undefined): PlainKey | string {
  if (!key) return "cannot be read as a public key";
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  const material = key.export({ type: "spki", format: "der" }).toString("base64");
  switch (key.asymmetricKeyType) {
    case "rsa":
      if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
        return `an RSA key must have ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, this one has ${modulusLength}`;
      }
      return publicExponent < 3n ? "its RSA exponent must be 3 or more" : { algorithm: "RS256", material };
    case "ec":
      return namedCurve === "prime256v1"
        ? { algorithm: "ES256", material }
        : `an elliptic curve key must be on P-256 (ES256), this one is on ${namedCurve}`;
    case "ed25519":
      return { algorithm: "EdDSA", material };
    default:
      return `a ${key.asymmetricKeyType} key fits none of RS256, ES256 and EdDSA`;
  }
}

/** Throws what would make it unclear which key a token is verified with. */
export function checkKeys(keys: readonly PlainKey[]): void {
  const kinds = new Set(keys.map(({ algorithm }) => algorithm === "HS256"));
  if (kinds.size > 1) {
    const why = "a shared secret and public keys together: whoever may verify with the secret can also sign";
    throw new GatewayError("config", `--auth-secret-file: ${why}; give one kind only`);
  }
  const ids = keys.flatMap(({ kid }) => kid ?? []);
  const twice = ids.find((kid, index) => ids.indexOf(kid) !== index);
  if (twice !== undefined)
    throw new GatewayError("config", `--auth-jwks-file: two keys have the kid ${JSON.stringify(twice)}`);
  for (const algorithm of ALGORITHMS) {
    const nameless = keys.filter((key) => key.kid === undefined && key.algorithm === algorithm).length;
    if (nameless > MAX_KEYS_WITHOUT_ID) {
      const why = `${nameless} keys for ${algorithm} have no kid, and all would be tried`;
      throw new GatewayError("config", `${why}: at most ${MAX_KEYS_WITHOUT_ID}; give the others in --auth-jwks-file`);
    }
  }
}

/** The prepared keys of a worker. */
export class KeySet {
  readonly #byId = new Map<string, readonly Key[]>();
  readonly #withoutId: readonly Key[];
  /** For tokens that name no key. */
  readonly #unnamed: readonly Key[];

  constructor(keys: readonly PlainKey[]) {
    for (const key of keys) if (key.kid !== undefined) this.#byId.set(key.kid, [prepared(key)]);
    this.#withoutId = keys.filter(({ kid }) => kid === undefined).map(prepared);
    // A token need not name the only key that there is.
    this.#unnamed = keys.length === 1 ? [...this.#withoutId, ...[...this.#byId.values()].flat()] : this.#withoutId;
  }

  /** The keys that may have signed a token with this kid: a key without one may have signed any. */
  candidates(kid: string | undefined): readonly Key[] {
    return kid === undefined ? this.#unnamed : (this.#byId.get(kid) ?? this.#withoutId);
  }
}

function prepared({ algorithm, material }: PlainKey): Key {
  const bytes = Buffer.from(material, "base64");
  const key =
    algorithm === "HS256" ? createSecretKey(bytes) : createPublicKey({ key: bytes, format: "der", type: "spki" });
  return { algorithm, material: key };
}
