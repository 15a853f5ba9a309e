/** The keys of the admin port while their file changes: what is good counts at once, what is not changes nothing and is told. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { KeyFile } from "../../../src/supervision/key-file.js";
import { until } from "../../support/wait.js";

const lineFor = (name: string): string => `${name} read planted-${name.padEnd(32, "0")}\n`;

describe("the file of admin keys", () => {
  let folder: string;
  let path: string;
  let file: KeyFile;
  let told: string[];
  let logged: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "megagate-key-file-"));
    path = join(folder, "keys");
    [told, logged] = [[], []];
    file = new KeyFile({
      path,
      log: (level, message, fields) => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
      onKeys: (keys) => void told.push(keys.map(({ name }) => name).join()),
      pollMs: 50,
    });
  });
  afterEach(() => {
    file.stop();
    rmSync(folder, { recursive: true });
    assert.ok(!logged.join("\n").includes("planted"), "no key in the log");
  });

  const names = (): string => file.keys.map(({ name }) => name).join();
  const write = (text: string): void => writeFileSync(path, text, { mode: 0o600 });

  it("stops the start where it is not usable", () => {
    assert.throws(() => file.start(), /--admin-keys-file: .*cannot be read: ENOENT/);
    write("");
    assert.throws(() => file.start(), /it holds no key/);
  });

  it("counts again when it changes, by writing, by renaming, and by a link two folders above", async () => {
    write(lineFor("a"));
    file.start();
    assert.deepEqual([names(), told], ["a", []]);
    write(lineFor("a") + lineFor("b"));
    await until("written", names, (text) => text === "a,b");
    writeFileSync(join(folder, "next"), lineFor("c"), { mode: 0o600 });
    renameSync(join(folder, "next"), path);
    await until("renamed", names, (text) => text === "c");
    for (const name of ["d", "e"]) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "keys"), lineFor(name), { mode: 0o600 });
    }
    symlinkSync("d", join(folder, "data"));
    rmSync(path);
    symlinkSync("data/keys", path);
    await until("linked", names, (text) => text === "d");
    symlinkSync("e", join(folder, "next-data"));
    renameSync(join(folder, "next-data"), join(folder, "data"));
    await until("linked again", names, (text) => text === "e");
    assert.deepEqual(told, ["a,b", "c", "d", "e"]);
    assert.match(logged.at(-1)!, /^info keys of the admin port were read again .*e \(read\)/);
  });

  it("keeps the keys that it had when it is emptied, damaged or removed, and says so once each time", async () => {
    write(lineFor("a"));
    file.start();
    const faults: [change: () => void, fault: RegExp][] = [
      [() => write(""), /it holds no key/],
      [() => write(`${lineFor("b")}c planted-in-the-place-of-the-scopes d\n`), /line 2: the second word/],
      [() => rmSync(path), /ENOENT/],
    ];
    for (const [i, [change, fault]] of faults.entries()) {
      change();
      await until(
        "told",
        () => logged.filter((line) => line.startsWith("error")).length,
        (n) => n === i + 1,
      );
      assert.match(logged.at(-1)!, /^error keys of the admin port stay as they were: the file is not usable/);
      assert.match(logged.at(-1)!, fault);
      assert.deepEqual([names(), told], ["a", []]);
    }
    write(lineFor("b"));
    await until("mended", names, (text) => text === "b");
    assert.equal(logged.filter((line) => line.startsWith("error")).length, 3);
  });

  it("is read at once when asked to", () => {
    write(lineFor("a"));
    file.start();
    write(lineFor("b"));
    file.reload();
    assert.deepEqual([names(), told], ["b", ["b"]]);
  });
});
