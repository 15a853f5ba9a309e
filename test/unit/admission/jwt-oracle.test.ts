/**
 * The verifier against `jose`, over tokens with random faults: what jose refuses is refused here, and what is refused here
 * alone is refused by a rule that jwt.ts has on purpose.
 */
import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type JWTPayload, jwtVerify } from "jose";
import { type TokenFault, type TokenRules, TokenVerifier } from "../../../src/admission/jwt.js";
import { ALGORITHMS, type Algorithm, KeySet } from "../../../src/admission/keys.js";
import { runs } from "../../support/runs.js";
import { PLAIN, PUBLIC, SECRET, tokenOf } from "../../support/tokens.js";

const NOW = 1_800_000_000;
const SKEW = 5;
const KEYS = { HS256: createSecretKey(Buffer.from(SECRET)), ...PUBLIC };

/** Where two readers could understand a token differently, jose takes what it reads; and it knows no rule for `sub`. */
const STRICTER: readonly TokenFault[] = [
  "notBase64url",
  "badHeader",
  "badPayload",
  "badSubject",
  "badKeyId",
  "tooLong",
];

const rulesOf = (algorithm: Algorithm): TokenRules => ({
  keys: new KeySet([PLAIN[algorithm]]),
  algorithms: new Set([algorithm]),
  issuer: "iss",
  audiences: ["aud"],
  skewSeconds: SKEW,
});

async function verifyByJose(token: string, algorithm: Algorithm): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtVerify(token, KEYS[algorithm], {
      algorithms: [algorithm],
      issuer: "iss",
      audience: ["aud"],
      clockTolerance: SKEW,
      currentDate: new Date(NOW * 1000),
      requiredClaims: ["exp"],
    });
    return payload;
  } catch {
    return undefined;
  }
}

const time = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: NOW - 8, max: NOW + 8 }) },
  fc.constantFrom(undefined, null, "1", -1, 0, 1e300, NOW + 60),
);
const payload = fc.record({
  iss: fc.constantFrom("iss", "iss", "iss", "is", undefined, ["iss"]),
  aud: fc.constantFrom("aud", "aud", ["x", "aud"], [], "au", 1, undefined),
  sub: fc.constantFrom("7", "7", "", "*", undefined, "a\nb"),
  exp: fc.oneof({ weight: 3, arbitrary: fc.constant(NOW + 60) }, time),
  nbf: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, time),
  iat: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, time),
});
const header = fc.record({
  alg: fc.option(fc.constantFrom("none", "HS512", "hs256", ...ALGORITHMS), { freq: 4, nil: undefined }),
  kid: fc.option(fc.constantFrom("k", "", 1), { freq: 4, nil: undefined }),
  crit: fc.option(fc.constantFrom([], ["b64"], ["exp"], "b64"), { freq: 6, nil: undefined }),
  typ: fc.constantFrom("JWT", undefined),
});
/** One change of the text: a character replaced, removed or inserted, or the end cut. */
const change = fc.record({
  how: fc.constantFrom("replace", "remove", "insert", "cut", "double"),
  at: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
  text: fc.constantFrom("A", "-", "_", ".", "=", "+", "/", " ", "\n", "\0", "é", "9"),
});

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(token: string, { how, at, text }: Change): string {
  const index = Math.floor(at * token.length);
  const before = token.slice(0, index);
  const after = token.slice(index + 1);
  switch (how) {
    case "replace":
      return `${before}${text}${after}`;
    case "remove":
      return `${before}${after}`;
    case "insert":
      return `${before}${text}${token.slice(index)}`;
    case "double":
      return `${before}${token[index] ?? ""}${token.slice(index)}`;
    default:
      return before;
  }
}

describe("tokens with random faults", () => {
  it("are refused here where jose refuses them, and have the same claims where it does not", async () => {
    const verifiers = new Map(ALGORITHMS.map((name) => [name, new TokenVerifier(rulesOf(name))]));
    const counts = { valid: 0, refused: 0, stricter: 0 };
    // Most are HS256: a signature of the others costs a hundred times as much.
    const algorithm = fc.constantFrom<Algorithm>(...Array<Algorithm>(20).fill("HS256"), ...ALGORITHMS);
    const changes = fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      fc.array(change, { minLength: 1, maxLength: 2 }),
    );
    await fc.assert(
      fc.asyncProperty(algorithm, header, payload, changes, async (name, { alg = name, ...rest }, claims, faults) => {
        const token = faults.reduce(changed, tokenOf(name, { alg, ...rest }, claims));
        const verdict = verifiers.get(name)!.verify(token, NOW);
        const wanted = await verifyByJose(token, name);
        if (verdict.type === "valid") {
          counts.valid += 1;
          assert.deepEqual(verdict.claims, wanted);
        } else {
          counts.refused += 1;
          if (wanted) counts.stricter += 1;
          assert.ok(!wanted || STRICTER.includes(verdict.fault), `only here: ${verdict.fault}`);
        }
      }),
      runs(100_000),
    );
    const { valid, refused, stricter } = counts;
    assert.ok(valid > 0 && refused > valid && stricter > 0, `too one-sided: ${JSON.stringify(counts)}`);
  });
});
