/** The files of keys: read at the start, and again when the workers are replaced. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { type AuthFileConfig, AuthFiles } from "../../../src/supervision/auth-files.js";
import { PLAIN, PUBLIC, SECRET } from "../../support/tokens.js";

const folder = mkdtempSync(join(tmpdir(), "megagate-keys-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const NONE: AuthFileConfig = { authSecretFile: "", authPublicKeyFile: "", authJwksFile: "", authAlgorithms: "" };
const secret = file("secret", `${SECRET}\n`);
const pem = file("pem", PUBLIC.RS256.export({ type: "spki", format: "pem" }).toString());
const jwks = file(
  "jwks",
  JSON.stringify({ keys: [{ ...PUBLIC.ES256.export({ format: "jwk" }), kid: "k" }, { kty: "new" }] }),
);

function read(config: Partial<AuthFileConfig>): { files: AuthFiles; lines: string[] } {
  const lines: string[] = [];
  const files = new AuthFiles({ ...NONE, ...config }, (level, message) => lines.push(`${level} ${message}`));
  return { files, lines };
}

describe("the files of keys", () => {
  it("are read at the start, and what is not used is told", () => {
    assert.deepEqual(read({}).files.keys, []);
    assert.deepEqual(read({ authSecretFile: secret }).files.keys, [PLAIN.HS256]);
    const { files, lines } = read({ authPublicKeyFile: pem, authJwksFile: jwks });
    assert.deepEqual(files.keys, [PLAIN.RS256, { ...PLAIN.ES256, kid: "k" }]);
    assert.deepEqual(lines, [`info ${jwks}: key 2 is not used: only RSA, EC with P-256 and OKP with Ed25519 are used`]);
  });

  it("stop the start where they cannot be used", () => {
    assert.throws(() => read({ authSecretFile: join(folder, "none") }), /cannot read the keys in .*none: ENOENT/);
    assert.throws(() => read({ authSecretFile: "/dev/zero" }), /has more than 1048576 bytes/);
    assert.throws(() => read({ authSecretFile: folder }), /cannot read the keys/);
    assert.throws(() => read({ authSecretFile: secret, authJwksFile: jwks }), /give one kind only/);
    assert.throws(() => read({ authJwksFile: jwks, authAlgorithms: "ES256, RS256" }), /no key is for RS256/);
  });

  it("are read again; one that became bad leaves the keys as they were, and is told without its content", () => {
    const { files, lines } = read({ authSecretFile: secret });
    const next = `${SECRET.slice(1)}z`;
    file("secret", next);
    files.reload();
    assert.deepEqual(files.keys, [{ ...PLAIN.HS256, material: Buffer.from(next).toString("base64") }]);
    const kept = files.keys;
    for (const bad of ["", "short", PUBLIC.RS256.export({ type: "spki", format: "pem" }).toString()]) {
      file("secret", bad);
      files.reload();
      assert.equal(files.keys, kept);
      assert.match(lines.pop() ?? "", /^error the keys that were read before stay in use: .*secret: /);
    }
  });
});
