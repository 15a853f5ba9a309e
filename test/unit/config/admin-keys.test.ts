/** The file of `--admin-keys-file`: what it may say, and a sentence with the line for everything else, which quotes nothing. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { authorization, whyNotAdmitted } from "../../../src/config/admin-access.js";
import { digestOf, parseAdminKeys, readAdminKeys } from "../../../src/config/admin-keys.js";
import { GatewayError } from "../../../src/errors.js";

const KEY = "planted-7c1f0a9d3be84e21a6650f2d9b";
const OTHER = "other~key+of/32.characters_at-least==";
const SHA = digestOf(KEY);
const folder = mkdtempSync(join(tmpdir(), "megagate-keys-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string | Buffer, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe("a file of admin keys", () => {
  it("has a key a line: name, scopes, and the key or its digest; comments and blank lines between them", () => {
    const text = `\uFEFF# who\r\n\r\nprices publish ${KEY}\n \tops\toperate,read   ${OTHER}  \n  # end\nprom read sha256:${"AB".repeat(32)}`;
    assert.deepEqual(parseAdminKeys(text), {
      keys: [
        { name: "prices", scopes: ["publish"], digest: SHA },
        { name: "ops", scopes: ["operate", "read"], digest: digestOf(OTHER) },
        { name: "prom", scopes: ["read"], digest: "ab".repeat(32) },
      ],
      faults: [],
      holdsKeys: true,
    });
  });

  const wrong: [what: string, text: string, fault: RegExp][] = [
    ["nothing", "", /^it holds no key; a line is NAME SCOPES KEY/],
    ["comments alone", "# a\n\n", /^it holds no key/],
    ["two words", `a ${KEY}`, /^line 1: must be three words, NAME SCOPES KEY.*it has 2$/],
    ["a blank after a comma", `a read, publish ${KEY}`, /it has 4$/],
    ["an unknown scope", `# x\na red ${KEY}`, /^line 2: .*of publish, read, operate \(did you mean "read"\?\)$/],
    ["no scope", `a , ${KEY}`, /^line 1: the second word must be scopes/],
    ["a scope in capitals", `a READ ${KEY}`, /did you mean "read"/],
    ["a scope twice", `a read,read ${KEY}`, /names a scope twice/],
    ["a key in place of the name", `${KEY} read a`, /^line 1: the first word must be a name/],
    ["a key in place of the scopes", `a ${KEY} read`, /^line 1: the second word must be scopes/],
    [
      "a short key",
      `a read ${"k".repeat(31)}`,
      /the key is too short: 31 of at least 32 characters; openssl rand -hex 32/,
    ],
    ["a long key", `a read ${"k".repeat(513)}`, /at most 512/],
    ["a key that no header can carry", `a read ${KEY}ü`, /letters, digits/],
    ["a short digest", "a read sha256:abcd", /64 hexadecimal digits/],
    ["a name twice", `a read ${KEY}\n\na read ${OTHER}`, /^line 3: the same name as line 1$/],
    ["a key twice", `a read ${KEY}\nb publish sha256:${SHA}`, /^line 2: the same key as line 1$/],
    [
      "257 keys",
      Array.from({ length: 257 }, (_, i) => `k${i} read ${KEY}${i}`).join("\n"),
      /257 keys; 256 are the most/,
    ],
  ];
  for (const [what, text, fault] of wrong) {
    it(`with ${what} is refused`, () => {
      const { faults } = parseAdminKeys(text);
      assert.match(faults.join("\n"), fault);
      for (const secret of [KEY, OTHER]) assert.ok(!faults.join("\n").includes(secret));
    });
  }

  it("is refused with all its faults at once, each with file and line", () => {
    const path = file("faults", `a read short\nb none ${KEY}`);
    assert.throws(
      () => readAdminKeys(path),
      (error) =>
        error instanceof GatewayError &&
        error.kind === "config" &&
        error.detail.split("\n").length === 2 &&
        error.detail.split("\n").every((line, i) => line.startsWith(`--admin-keys-file: ${path}: line ${i + 1}: `)),
    );
  });

  it("may be read by other users only where it holds digests alone, and written by none", () => {
    assert.equal(readAdminKeys(file("digest", `a read sha256:${SHA}\n`, 0o644)).length, 1);
    assert.equal(readAdminKeys(file("group", `a read ${KEY}\n`, 0o440)).length, 1);
    const open = file("open", `a read ${KEY}\n`, 0o644);
    assert.throws(() => readAdminKeys(open), /other users of this machine may read it.*: chmod o-rwx /);
    const mixed = file("mixed", `a read sha256:${SHA}\nb read ${OTHER}\n`, 0o604);
    assert.throws(() => readAdminKeys(mixed), /other users of this machine may read it/);
    assert.throws(() => readAdminKeys(file("loose", `a read sha256:${SHA}\n`, 0o646)), /may write it: chmod o-rw /);
  });

  it("must be a readable text file of a sane size", () => {
    mkdirSync(join(folder, "folder"));
    assert.throws(() => readAdminKeys(join(folder, "folder")), /it is not a file/);
    assert.throws(() => readAdminKeys("/dev/zero"), /it is not a file/);
    assert.throws(() => readAdminKeys(join(folder, "none")), /cannot be read: ENOENT/);
    assert.throws(() => readAdminKeys(file("binary", Buffer.from([0x61, 0xff]))), /not UTF-8/);
    assert.throws(() => readAdminKeys(file("large", "#".repeat(300_000))), /more than 262144 bytes/);
  });
});

describe("the key file of a command", () => {
  it("holds one key, with or without the end of its line", () => {
    for (const text of [KEY, `${KEY}\n`, `  ${KEY}\r\n`])
      assert.deepEqual(authorization({ adminKeyFile: file("one", text) }), { authorization: `Bearer ${KEY}` });
    assert.deepEqual(authorization({ adminKeyFile: "" }), {});
  });

  const wrong: [text: string, fault: RegExp, mode?: number][] = [
    ["", /must hold one key, of at least 32/],
    ["short", /must hold one key, of at least 32/],
    [`${KEY}\n${OTHER}\n`, /one key and nothing else/],
    [`prices publish ${KEY}\n`, /the third word of a line of --admin-keys-file/],
    [`sha256:${SHA}`, /the key itself, not its digest/],
    [KEY, /other users of this machine may read it.*chmod o-rwx/, 0o644],
  ];
  for (const [text, fault, mode = 0o600] of wrong) {
    it(`is refused: ${fault.source}`, () => {
      const refused = (error: Error): boolean => fault.test(error.message) && !error.message.includes(KEY);
      assert.throws(() => authorization({ adminKeyFile: file("bad", text, mode) }), refused);
    });
  }

  it("is spoken of in words when the gateway does not take its key", () => {
    const [none, given] = ["", "/k"].map((adminKeyFile) => ({ adminUrl: "http://gate:1", adminKeyFile }));
    assert.match(whyNotAdmitted({ status: 401, code: 4031, error: "" }, none!)!, /asks for a key.*--admin-key-file/);
    assert.match(whyNotAdmitted({ status: 401, code: 4031, error: "" }, given!)!, /does not know the key in \/k/);
    assert.match(whyNotAdmitted({ status: 403, code: 4032, error: "needs read" }, given!)!, /suffice.*: needs read/);
    assert.equal(whyNotAdmitted({ status: 403, code: 4028, error: "foreign" }, given!), undefined);
    assert.equal(whyNotAdmitted({ status: 200, code: 0, error: undefined }, none!), undefined);
  });
});
