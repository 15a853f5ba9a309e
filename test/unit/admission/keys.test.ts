/** Which keys are taken from files, and in which words others are refused. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { checkKeys, keyOfSecret, keysOfJwks, keysOfPem } from "../../../src/admission/keys.js";
import { GatewayError } from "../../../src/errors.js";
import { PLAIN, PRIVATE, PUBLIC, SECRET } from "../../support/tokens.js";

const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();
const jwk = (key: KeyObject, more: object = {}): object => ({ ...key.export({ format: "jwk" }), ...more });
const set = (...keys: unknown[]): Buffer => Buffer.from(JSON.stringify({ keys }));
const P384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey;
const RSA_1024 = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
const X25519 = generateKeyPairSync("x25519").publicKey;

/** A refusal names the file, matches, and never shows a secret. */
function refused(read: () => unknown, words: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof GatewayError && error.kind === "config");
    assert.match(error.detail, words);
    assert.ok(!error.detail.includes(SECRET.slice(0, 8)));
    return true;
  });
}

describe("a secret file", () => {
  it("is the secret, without the line break at its end", () => {
    for (const end of ["", "\n", "\r\n"]) assert.deepEqual(keyOfSecret("f", Buffer.from(SECRET + end)), PLAIN.HS256);
    assert.notDeepEqual(keyOfSecret("f", Buffer.from(`${SECRET}\n\n`)), PLAIN.HS256);
  });

  for (const [what, content, words] of [
    ["empty", "", /^f: a secret for HS256 has at least 32 bytes, this one 0; make one with: openssl rand -hex 32/],
    ["short", SECRET.slice(1), /this one 31;/],
    ["short but for its line break", `${SECRET.slice(1)}\n`, /this one 31;/],
    ["of zeros", "\0".repeat(64), /repeats a few characters/],
    ["a repeated word", "secret".repeat(10), /repeats a few characters/],
    ["a public key", pem(PUBLIC.RS256), /--auth-public-key-file/],
    [
      "a private key",
      PRIVATE.RS256.export({ type: "pkcs8", format: "pem" }).toString(),
      /PEM key, not a shared secret/,
    ],
  ] as const) {
    it(`is refused: ${what}`, () => refused(() => keyOfSecret("f", Buffer.from(content)), words));
  }
});

describe("a PEM file", () => {
  it("may hold several keys, each for its algorithm, and text around them", () => {
    const file = Object.values(PUBLIC).map(pem).join("the next one:\n");
    const { RS256, ES256, EdDSA } = PLAIN;
    assert.deepEqual(keysOfPem("f", Buffer.from(file)), [RS256, ES256, EdDSA]);
  });

  it("may hold one key twice", () => {
    assert.deepEqual(keysOfPem("f", Buffer.from(pem(PUBLIC.ES256) + pem(PUBLIC.ES256))), [PLAIN.ES256]);
  });

  it("may hold an RSA PUBLIC KEY", () => {
    const file = PUBLIC.RS256.export({ type: "pkcs1", format: "pem" }).toString();
    assert.deepEqual(keysOfPem("f", Buffer.from(file)), [PLAIN.RS256]);
  });

  const BODY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
  for (const [what, content, words] of [
    ["nothing", "", /^f: has no PEM block/],
    ["a secret", SECRET, /has no PEM block/],
    [
      "a private key",
      PRIVATE.ES256.export({ type: "pkcs8", format: "pem" }).toString(),
      /holds a private key.*openssl pkey/,
    ],
    ["an encrypted private key", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", /holds a private key/],
    ["half a block", pem(PUBLIC.RS256).slice(0, 200), /not complete/],
    ["half a block after a whole one", pem(PUBLIC.ES256) + pem(PUBLIC.RS256).slice(0, 200), /not complete/],
    ["garbage in a block", BODY, /key 1 \(PUBLIC KEY\): cannot be read as a public key/],
    ["another label", BODY.replaceAll("PUBLIC KEY", "DH PARAMETERS"), /must be a PUBLIC KEY/],
    ["a curve of others", pem(PUBLIC.ES256) + pem(P384), /key 2 .*must be on P-256 \(ES256\)/],
    ["a weak RSA key", pem(RSA_1024), /2048 to 8192 bits, this one has 1024/],
    ["a key for another purpose", pem(X25519), /x25519 key fits none/],
  ] as const) {
    it(`is refused: ${what}`, () => refused(() => keysOfPem("f", Buffer.from(content)), words));
  }
});

describe("a JWKS file", () => {
  it("gives its keys with their kid", () => {
    const file = set(
      jwk(PUBLIC.RS256, { kid: "a", use: "sig", alg: "RS256", x5t: "x" }),
      jwk(PUBLIC.EdDSA, { kid: "b" }),
      jwk(PUBLIC.ES256),
    );
    const { keys, skipped } = keysOfJwks("f", file);
    assert.deepEqual(keys, [{ ...PLAIN.RS256, kid: "a" }, { ...PLAIN.EdDSA, kid: "b" }, PLAIN.ES256]);
    assert.deepEqual(skipped, []);
  });

  it("may hold keys for other purposes, which are told", () => {
    const others = [
      jwk(PUBLIC.RS256, { use: "enc", alg: "RSA-OAEP" }),
      jwk(PUBLIC.RS256, { alg: "RS512" }),
      jwk(PUBLIC.RS256, { key_ops: ["encrypt"] }),
      jwk(P384),
      jwk(X25519),
      { kty: "new" },
    ];
    const { keys, skipped } = keysOfJwks("f", set(jwk(PUBLIC.ES256), ...others));
    assert.deepEqual(keys, [PLAIN.ES256]);
    assert.equal(skipped.length, others.length);
    assert.match(skipped[0]!, /^f: key 2 is not used: its use is "enc"$/);
  });

  for (const [what, file, words] of [
    ["HTML", Buffer.from("<html>"), /^f: must be a JSON object \{"keys":\[…\]\}/],
    ["a list", Buffer.from("[]"), /must be a JSON object/],
    ["keys twice", Buffer.from('{"keys":[],"keys":[]}'), /must be a JSON object/],
    ["no keys", set(), /has no key for RS256/],
    ["none that fits", set(jwk(P384)), /has no key for RS256.*key 1 is not used/],
    ["a key that is null", set(null), /key 1: must be an object/],
    ["a shared secret", set({ kty: "oct", k: SECRET }), /key 1: is a shared secret; give it by --auth-secret-file/],
    ["a private key", set(jwk(PRIVATE.ES256)), /key 1: is a private key/],
    ["a kid that is a number", set(jwk(PUBLIC.ES256, { kid: 7 })), /kid must be a text/],
    ["a weak key", set(jwk(RSA_1024)), /2048 to 8192 bits/],
    ["an exponent of 1", set(jwk(PUBLIC.RS256, { e: "AQ" })), /key 1: /],
    ["a point that is not on the curve", set(jwk(PUBLIC.ES256, { y: "A".repeat(43) })), /cannot be read/],
    ["65 keys", set(...Array.from({ length: 65 }, () => jwk(PUBLIC.ES256))), /has 65 keys; at most 64/],
  ] as const) {
    it(`is refused: ${what}`, () => refused(() => keysOfJwks("f", file), words));
  }
});

describe("keys together", () => {
  it("may be of several algorithms", () => checkKeys([PLAIN.RS256, PLAIN.ES256, PLAIN.EdDSA]));
  it("are not a shared secret and public ones", () =>
    refused(() => checkKeys([PLAIN.HS256, PLAIN.RS256]), /give one kind only/));
  it("have no kid twice", () =>
    refused(
      () => checkKeys([PLAIN.RS256, PLAIN.ES256].map((key) => ({ ...key, kid: "k" }))),
      /two keys have the kid "k"/,
    ));
  it("may have no kid up to four times", () => {
    checkKeys(Array(4).fill(PLAIN.ES256));
    refused(() => checkKeys(Array(5).fill(PLAIN.ES256)), /5 keys for ES256 have no kid/);
  });
});
