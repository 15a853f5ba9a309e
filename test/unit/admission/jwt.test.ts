/** Every way in which a token can be wrong, and the exact refusal of each. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { type TokenFault, type TokenRules, TokenVerifier } from "../../../src/admission/jwt.js";
import { ALGORITHMS, type Algorithm, KeySet } from "../../../src/admission/keys.js";
import { PLAIN, PUBLIC, part, SECRET, signatureOf, tokenFor, tokenOf } from "../../support/tokens.js";

const NOW = 1_800_000_000;
const CLAIMS = { sub: "7", exp: NOW + 60 };
const SECRET_ONLY: TokenRules = {
  keys: new KeySet([PLAIN.HS256]),
  algorithms: new Set<Algorithm>(["HS256"]),
  issuer: undefined,
  audiences: [],
  skewSeconds: 5,
};
const PUBLIC_KEYS: TokenRules = {
  ...SECRET_ONLY,
  keys: new KeySet([PLAIN.RS256, PLAIN.ES256, PLAIN.EdDSA]),
  algorithms: new Set<Algorithm>(["RS256", "ES256", "EdDSA"]),
};
const NAMED: TokenRules = {
  ...PUBLIC_KEYS,
  keys: new KeySet([
    { ...PLAIN.RS256, kid: "rsa" },
    { ...PLAIN.ES256, kid: "ec" },
  ]),
};
const ISSUER: TokenRules = { ...SECRET_ONLY, issuer: "https://id.example" };
const AUDIENCE: TokenRules = { ...SECRET_ONLY, audiences: ["push", "chat"] };

const outcome = (rules: TokenRules, token: string): TokenFault | "valid" => {
  const verdict = new TokenVerifier(rules).verify(token, NOW);
  return verdict.type === "valid" ? "valid" : verdict.fault;
};

/** Like a token of `tokenFor`, with other parts. */
const hs = (header: unknown, payload: unknown = CLAIMS): string => tokenOf("HS256", header, payload);
const claims = (more: Readonly<Record<string, unknown>>): string => tokenFor({ ...CLAIMS, ...more });
/** JSON text, for what JSON.stringify would not write. */
const raw = (payload: string | Buffer): string => {
  const signed = `${part({ alg: "HS256" })}.${Buffer.from(payload).toString("base64url")}`;
  return `${signed}.${signatureOf("HS256", signed).toString("base64url")}`;
};
const es = (change: (signature: Buffer) => Buffer): string => {
  const signed = `${part({ alg: "ES256" })}.${part(CLAIMS)}`;
  return `${signed}.${change(signatureOf("ES256", signed)).toString("base64url")}`;
};
const derSigned = (): string => {
  const signed = `${part({ alg: "ES256" })}.${part(CLAIMS)}`;
  return `${signed}.${signatureOf("ES256", signed, "der").toString("base64url")}`;
};
/** The public key of RS256 as the secret of HS256. */
const confused = (): string => {
  const signed = `${part({ alg: "HS256" })}.${part(CLAIMS)}`;
  const secret = PUBLIC.RS256.export({ type: "spki", format: "pem" });
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
};
const good = tokenFor(CLAIMS);
const [goodHeader = "", goodPayload = "", goodSignature = ""] = good.split(".");
/** The last character of 43 holds two spare bits, which another one sets. */
const spareBits = (text: string): string =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
const UNSIGNED = (alg: string): string => `${part({ alg })}.${part(CLAIMS)}.`;
const JWK = PUBLIC.ES256.export({ format: "jwk" });

type Case = readonly [what: string, token: string, wanted: TokenFault | "valid", rules?: TokenRules];

const CASES: readonly Case[] = [
  ["a good one", good, "valid"],
  ["alg none", UNSIGNED("none"), "unknownAlgorithm"],
  ["alg None", UNSIGNED("None"), "unknownAlgorithm"],
  ["alg NONE", UNSIGNED("NONE"), "unknownAlgorithm"],
  ["alg nOnE", UNSIGNED("nOnE"), "unknownAlgorithm"],
  ["alg none, signed", hs({ alg: "none" }), "unknownAlgorithm"],
  ["alg in lower case", hs({ alg: "hs256" }), "unknownAlgorithm"],
  ["alg HS512", hs({ alg: "HS512" }), "unknownAlgorithm"],
  ["alg toString", hs({ alg: "toString" }), "unknownAlgorithm"],
  ["alg a list", hs({ alg: ["HS256"] }), "unknownAlgorithm"],
  ["no alg", hs({}), "unknownAlgorithm"],
  ["an alg that is not allowed", tokenFor(CLAIMS, "RS256"), "algorithmNotAllowed"],
  ["the RSA public key as HS256 secret", confused(), "algorithmNotAllowed", PUBLIC_KEYS],
  [
    "the same, where HS256 is allowed",
    confused(),
    "algorithmNotOfKey",
    { ...PUBLIC_KEYS, algorithms: new Set(ALGORITHMS) },
  ],
  ["alg not that of the named key", tokenOf("ES256", { alg: "ES256", kid: "rsa" }, CLAIMS), "algorithmNotOfKey", NAMED],
  ["an empty signature", `${goodHeader}.${goodPayload}.`, "badSignature"],
  ["a signature of another payload", `${goodHeader}.${part({ ...CLAIMS, sub: "8" })}.${goodSignature}`, "badSignature"],
  ["a signature cut by one byte", `${goodHeader}.${goodPayload}.${goodSignature.slice(0, 40)}`, "badSignature"],
  [
    "another secret",
    good.replace(/.{43}$/, createHmac("sha256", `${SECRET}x`).update("").digest("base64url")),
    "badSignature",
  ],
  ["RS256", tokenFor(CLAIMS, "RS256"), "valid", PUBLIC_KEYS],
  ["ES256", tokenFor(CLAIMS, "ES256"), "valid", PUBLIC_KEYS],
  ["EdDSA", tokenFor(CLAIMS, "EdDSA"), "valid", PUBLIC_KEYS],
  ["RS256 with the signature of ES256", tokenOf("ES256", { alg: "RS256" }, CLAIMS), "badSignature", PUBLIC_KEYS],
  ["EdDSA with the signature of ES256", tokenOf("ES256", { alg: "EdDSA" }, CLAIMS), "badSignature", PUBLIC_KEYS],
  ["ES256 in DER", derSigned(), "badSignature", PUBLIC_KEYS],
  ["ES256 with r=s=0", es(() => Buffer.alloc(64)), "badSignature", PUBLIC_KEYS],
  ["ES256 with 63 bytes", es((s) => s.subarray(0, 63)), "badSignature", PUBLIC_KEYS],
  ["ES256 with 65 bytes", es((s) => Buffer.concat([s, Buffer.alloc(1)])), "badSignature", PUBLIC_KEYS],
  ["ES256 without bytes", es(() => Buffer.alloc(0)), "badSignature", PUBLIC_KEYS],
  ["padding", `${goodHeader}.${goodPayload}.${goodSignature}=`, "notBase64url"],
  ["padding of the payload", `${goodHeader}.${goodPayload}=.${goodSignature}`, "notBase64url"],
  ["padding of the header", `${goodHeader}=.${goodPayload}.${goodSignature}`, "notBase64url"],
  ["+ and /", `${goodHeader}.${goodPayload}.+/${goodSignature.slice(2)}`, "notBase64url"],
  [
    "a blank inside",
    `${goodHeader}.${goodPayload.slice(0, 4)} ${goodPayload.slice(4)}.${goodSignature}`,
    "notBase64url",
  ],
  ["a line break at the end", `${good}\n`, "notBase64url"],
  ["a last character with spare bits", `${goodHeader}.${goodPayload}.${spareBits(goodSignature)}`, "notBase64url"],
  ["one character alone", `${goodHeader}.a.${goodSignature}`, "notBase64url"],
  ["a trailing dot", `${good}.`, "notCompact"],
  ["five parts (JWE)", `${good}.${goodPayload}.${goodPayload}`, "notCompact"],
  ["two parts", `${goodHeader}.${goodPayload}`, "notCompact"],
  ["nothing", "", "notCompact"],
  ["two dots", "..", "badHeader"],
  ["a header that is a list", hs([]), "badHeader"],
  ["a header with alg twice", hs('{"alg":"HS256","alg":"none"}'), "badHeader"],
  ["a header with alg twice by an escape", hs('{"alg":"HS256","\\u0061lg":"HS256"}'), "badHeader"],
  ["a header with a byte order mark", hs('\ufeff{"alg":"HS256"}'), "badHeader"],
  ["crit unknown", hs({ alg: "HS256", crit: ["b64"], b64: false }), "critical"],
  ["crit empty", hs({ alg: "HS256", crit: [] }), "critical"],
  ["kid with ../", tokenOf("RS256", { alg: "RS256", kid: "../rsa" }, CLAIMS), "unknownKey", NAMED],
  ["kid __proto__", tokenOf("RS256", '{"alg":"RS256","kid":"__proto__"}', CLAIMS), "unknownKey", NAMED],
  ["kid constructor", tokenOf("RS256", { alg: "RS256", kid: "constructor" }, CLAIMS), "unknownKey", NAMED],
  ["kid of 4 KB", tokenOf("RS256", { alg: "RS256", kid: "k".repeat(4096) }, CLAIMS), "badKeyId", NAMED],
  ["kid empty", tokenOf("RS256", { alg: "RS256", kid: "" }, CLAIMS), "badKeyId", NAMED],
  ["kid a number", tokenOf("RS256", { alg: "RS256", kid: 1 }, CLAIMS), "badKeyId", NAMED],
  ["kid twice", tokenOf("RS256", '{"alg":"RS256","kid":"rsa","kid":"ec"}', CLAIMS), "badHeader", NAMED],
  ["no kid, of several keys", tokenFor(CLAIMS, "RS256"), "unknownKey", NAMED],
  ["the right kid", tokenOf("RS256", { alg: "RS256", kid: "rsa" }, CLAIMS), "valid", NAMED],
  ["a kid where keys have none", tokenOf("HS256", { alg: "HS256", kid: "any" }, CLAIMS), "valid"],
  ["jwk of an attacker", tokenOf("ES256", { alg: "ES256", jwk: JWK }, CLAIMS), "unknownKey", NAMED],
  [
    "jwk, jku, x5u and x5c ignored",
    hs({ alg: "HS256", jwk: JWK, jku: "http://127.0.0.1:9/", x5u: "x", x5c: ["x"] }),
    "valid",
  ],
  ["a payload that is a text", hs({ alg: "HS256" }, '"exp"'), "badPayload"],
  ["a payload that is a list", hs({ alg: "HS256" }, [CLAIMS]), "badPayload"],
  ["a payload that is null", raw("null"), "badPayload"],
  ["an empty payload", raw(""), "badPayload"],
  ["sub twice", raw(`{"sub":"7","exp":${NOW + 60},"sub":"8"}`), "badPayload"],
  ["a member twice, inside", raw(`{"exp":${NOW + 60},"a":[{"b":1,"c":"b","b":2}]}`), "badPayload"],
  ["the same name in two objects", raw(`{"exp":${NOW + 60},"a":{"x":"x"},"b":{"x":"\\"x\\":"}}`), "valid"],
  ["a byte order mark", raw(`\ufeff${JSON.stringify(CLAIMS)}`), "badPayload"],
  ["NUL at the end", raw(`${JSON.stringify(CLAIMS)}\0`), "badPayload"],
  ["NUL in a text", raw(`{"sub":"\0","exp":${NOW + 60}}`), "badPayload"],
  ["invalid UTF-8", raw(Buffer.from(`{"sub":"\xff","exp":${NOW + 60}}`, "latin1")), "badPayload"],
  ["UTF-8 of a surrogate", raw(Buffer.from(`{"sub":"\xed\xa0\x80","exp":${NOW + 60}}`, "latin1")), "badPayload"],
  ["a second object", raw(`${JSON.stringify(CLAIMS)}{}`), "badPayload"],
  ["exp as text", claims({ exp: String(NOW + 60) }), "badTime"],
  ["exp null", claims({ exp: null }), "badTime"],
  ["exp 1e400", raw('{"sub":"7","exp":1e400}'), "badTime"],
  ["exp negative", claims({ exp: -1 }), "expired"],
  ["exp missing", tokenFor({ sub: "7" }), "noExpiry"],
  ["exp only in a prototype", raw(`{"__proto__":{"exp":${NOW + 60}}}`), "noExpiry"],
  ["exp now, within the skew", claims({ exp: NOW }), "valid"],
  ["exp a second within the skew", claims({ exp: NOW - 4 }), "valid"],
  ["exp at the skew", claims({ exp: NOW - 5 }), "expired"],
  ["exp with a fraction", claims({ exp: NOW + 0.5 }), "valid"],
  ["nbf ahead, within the skew", claims({ nbf: NOW + 5 }), "valid"],
  ["nbf ahead", claims({ nbf: NOW + 6 }), "notYetValid"],
  ["nbf as text", claims({ nbf: "0" }), "badTime"],
  ["iat ahead tells nothing about validity", claims({ iat: NOW + 3600 }), "valid"],
  ["iat as text", claims({ iat: "now" }), "badTime"],
  ["the issuer", claims({ iss: "https://id.example" }), "valid", ISSUER],
  ["an issuer that begins alike", claims({ iss: "https://id.example.evil" }), "wrongIssuer", ISSUER],
  ["an issuer with a slash more", claims({ iss: "https://id.example/" }), "wrongIssuer", ISSUER],
  ["a list of issuers", claims({ iss: ["https://id.example"] }), "wrongIssuer", ISSUER],
  ["no issuer", good, "wrongIssuer", ISSUER],
  ["aud as text", claims({ aud: "push" }), "valid", AUDIENCE],
  ["aud as list", claims({ aud: ["other", "chat"] }), "valid", AUDIENCE],
  ["aud of others", claims({ aud: ["other"] }), "wrongAudience", AUDIENCE],
  ["aud empty", claims({ aud: [] }), "wrongAudience", AUDIENCE],
  ["aud a number", claims({ aud: 1 }), "wrongAudience", AUDIENCE],
  ["aud a list with a number", claims({ aud: ["push", 1] }), "wrongAudience", AUDIENCE],
  ["aud a prefix", claims({ aud: "pus" }), "wrongAudience", AUDIENCE],
  ["aud joined by a comma", claims({ aud: "push,chat" }), "wrongAudience", AUDIENCE],
  ["aud missing", good, "wrongAudience", AUDIENCE],
  ["sub missing", tokenFor({ exp: NOW + 60 }), "valid"],
  ["sub empty", claims({ sub: "" }), "badSubject"],
  ["sub a number", claims({ sub: 7 }), "badSubject"],
  ["sub of several parts", claims({ sub: "1:admin" }), "valid"],
  ["sub *", claims({ sub: "*" }), "valid"],
  ["sub of 300 characters", claims({ sub: "s".repeat(300) }), "badSubject"],
  ["sub of 255 characters", claims({ sub: "s".repeat(255) }), "valid"],
  ["sub not ASCII", claims({ sub: "张伟" }), "valid"],
  ["sub with an escaped NUL", claims({ sub: "7\0" }), "badSubject"],
  ["sub with a line break", claims({ sub: "7\r\nX: y" }), "badSubject"],
  ["sub with half a pair", raw(`{"sub":"\\ud800","exp":${NOW + 60}}`), "badSubject"],
  ["8,193 characters", `${goodHeader}.${"a".repeat(8193 - goodHeader.length - 2)}.`, "tooLong"],
];

describe("the verdict on a token", () => {
  for (const [what, token, wanted, rules = SECRET_ONLY] of CASES) {
    it(`${what}: ${wanted}`, () => assert.equal(outcome(rules, token), wanted));
  }

  it("is the same after a token with another header", () => {
    const verifier = new TokenVerifier(PUBLIC_KEYS);
    const tokens = [tokenFor(CLAIMS, "RS256"), UNSIGNED("none"), tokenFor(CLAIMS, "ES256"), UNSIGNED("none")];
    const types = tokens.map((token) => verifier.verify(token, NOW).type);
    assert.deepEqual(types, ["valid", "refused", "valid", "refused"]);
  });

  it("holds the claims", () => {
    const verdict = new TokenVerifier(SECRET_ONLY).verify(claims({ megagate: { subscribe: ["a"] } }), NOW);
    assert.deepEqual(verdict, { type: "valid", claims: { ...CLAIMS, megagate: { subscribe: ["a"] } } });
  });
});
