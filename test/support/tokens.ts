/** Keys and tokens for tests, signed by node:crypto, so that every part of a token can be made wrong. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Algorithm, PlainKey } from "../../src/admission/keys.js";

export const SECRET = "0123456789abcdef0123456789abcdef";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");

export const PRIVATE: Readonly<Record<Exclude<Algorithm, "HS256">, KeyObject>> = {
  RS256: rsa.privateKey,
  ES256: ec.privateKey,
  EdDSA: ed.privateKey,
};
export const PUBLIC: typeof PRIVATE = { RS256: rsa.publicKey, ES256: ec.publicKey, EdDSA: ed.publicKey };

const der = (key: KeyObject): string => key.export({ type: "spki", format: "der" }).toString("base64");

export const PLAIN: Readonly<Record<Algorithm, PlainKey>> = {
  HS256: { algorithm: "HS256", material: Buffer.from(SECRET).toString("base64") },
  RS256: { algorithm: "RS256", material: der(PUBLIC.RS256) },
  ES256: { algorithm: "ES256", material: der(PUBLIC.ES256) },
  EdDSA: { algorithm: "EdDSA", material: der(PUBLIC.EdDSA) },
};

export const part = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** The signature of `signed`; `dsa` is the form of ES256. */
export function signatureOf(algorithm: Algorithm, signed: string, dsa: "ieee-p1363" | "der" = "ieee-p1363"): Buffer {
  if (algorithm === "HS256") return createHmac("sha256", SECRET).update(signed).digest();
  const key = PRIVATE[algorithm];
  const digest = algorithm === "EdDSA" ? null : "sha256";
  return sign(digest, Buffer.from(signed), algorithm === "ES256" ? { key, dsaEncoding: dsa } : key);
}

/** A signed token of these parts, which need not be JSON. */
export function tokenOf(algorithm: Algorithm, header: unknown, payload: unknown): string {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${signatureOf(algorithm, signed).toString("base64url")}`;
}

/** A token as issuers make it. */
export const tokenFor = (claims: Readonly<Record<string, unknown>>, algorithm: Algorithm = "HS256"): string =>
  tokenOf(algorithm, { alg: algorithm, typ: "JWT" }, claims);
