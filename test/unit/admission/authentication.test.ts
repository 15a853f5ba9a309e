/** What becomes of a handshake's token: an identity, or the refusal that it is answered with. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AuthConfig, Authentication } from "../../../src/admission/authentication.js";
import { PLAIN, tokenFor } from "../../support/tokens.js";

const NOW = 1_800_000_000;
const CONFIG: AuthConfig = {
  authAlgorithms: "",
  authIssuer: "",
  authAudience: "",
  authClockSkewSeconds: 5,
  authDefaultTopics: "news, user:{sub}",
};
const authentication = new Authentication([PLAIN.HS256], CONFIG);

const refusal = (token: string | undefined, by = authentication): unknown => {
  const outcome = by.authenticate(token, NOW);
  if (!("reason" in outcome)) return undefined;
  const { reason, error, headers } = outcome;
  return [reason, error.row.http, error.row.code, headers?.["WWW-Authenticate"]];
};

describe("the token of a handshake", () => {
  it("is refused with 401 and a challenge, and a code that says what to do", () => {
    const invalid = 'Bearer error="invalid_token"';
    assert.deepEqual(refusal(undefined), ["no_token", 401, 4302, "Bearer"]);
    assert.deepEqual(refusal(""), ["bad_token", 401, 4303, invalid]);
    assert.deepEqual(refusal(tokenFor({ exp: NOW - 5 })), ["expired_token", 401, 4100, invalid]);
    assert.deepEqual(refusal(tokenFor({ exp: NOW + 5, megagate: "*" })), ["bad_token", 401, 4303, invalid]);
    assert.equal(refusal(tokenFor({ exp: NOW + 5 })), undefined);
  });

  it("gives an identity that keeps no claims, and shares its grant", () => {
    const ask = (sub: string): object =>
      authentication.authenticate(tokenFor({ sub, exp: NOW + 60.5, role: "x" }), NOW);
    const one = ask("1") as { grant: unknown };
    assert.deepEqual(Object.keys(one), ["grant", "sub", "expirySecond"]);
    assert.deepEqual({ ...one, grant: 0 }, { grant: 0, sub: "1", expirySecond: NOW + 66 });
    assert.equal((ask("2") as { grant: unknown }).grant, one.grant);
  });

  it("obeys issuer, audience and algorithms", () => {
    const strict = new Authentication([PLAIN.RS256, PLAIN.ES256], {
      ...CONFIG,
      authIssuer: "id",
      authAudience: "push, chat",
      authAlgorithms: "ES256",
    });
    const claims = { iss: "id", aud: "chat", exp: NOW + 60 };
    assert.equal(refusal(tokenFor(claims, "ES256"), strict), undefined);
    for (const token of [
      tokenFor(claims, "RS256"),
      tokenFor({ ...claims, iss: "x" }, "ES256"),
      tokenFor({ ...claims, aud: "x" }, "ES256"),
    ]) {
      assert.deepEqual((refusal(token, strict) as string[])[0], "bad_token");
    }
  });
});
