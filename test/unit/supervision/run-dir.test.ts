/** The folder of the hub's socket: this user's alone, whoever shares it. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { GatewayError } from "../../../src/errors.js";
import { RunDir } from "../../../src/supervision/run-dir.js";
import { needsRoot } from "../../support/needs.js";
import { until } from "../../support/wait.js";

const base = mkdtempSync(join(tmpdir(), "megagate-run-dir-"));
after(() => rmSync(base, { recursive: true }));

const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof GatewayError && error.kind === "config" && pattern.test(error.detail);

describe("run directory", () => {
  it("two gateways with the same process number share it: their sockets and tokens differ", () => {
    const [one, two] = [new RunDir(join(base, "shared")), new RunDir(join(base, "shared"))];
    assert.notEqual(one.socketPath, two.socketPath);
    assert.notEqual(one.token, two.token);
    assert.ok(Buffer.byteLength(new RunDir(join(base, "x".repeat(84 - base.length))).socketPath) <= 107);
  });

  it("refuses a folder that others can write, of another user, or that is none", {
    skip: needsRoot("to give a folder to another user"),
  }, () => {
    const open = join(base, "open");
    mkdirSync(open);
    chmodSync(open, 0o1777);
    assert.throws(() => new RunDir(open), refused(/can be written by others \(mode 1777\): chmod 700/));
    const foreign = join(base, "foreign");
    mkdirSync(foreign, { mode: 0o700 });
    chownSync(foreign, 4242, 4242);
    assert.throws(() => new RunDir(foreign), refused(/belongs to user 4242, and this is user 0/));
    writeFileSync(join(base, "file"), "");
    assert.throws(() => new RunDir(join(base, "file")), refused(/cannot be used/));
    symlinkSync(join(base, "nowhere", "else"), join(base, "dangling"));
    assert.throws(() => new RunDir(join(base, "dangling")), refused(/cannot be used/));
    assert.throws(() => new RunDir("/proc/nothing"), refused(/cannot be used/));
  });

  it("follows a link to a folder of this user, as systemd makes one for DynamicUser", () => {
    mkdirSync(join(base, "real"), { mode: 0o755 });
    symlinkSync(join(base, "real"), join(base, "link"));
    assert.match(new RunDir(join(base, "link")).socketPath, /link\/hub-/);
  });

  it("removes sockets that killed gateways left, and none at which somebody listens", async () => {
    const folder = join(base, "old");
    mkdirSync(folder, { mode: 0o700 });
    const [left, alive] = ["hub-left_over.sock", "hub-alive.sock"].map((name) => join(folder, name)) as [
      string,
      string,
    ];
    const [killed, living] = [createServer(), createServer((socket) => socket.resume())];
    await new Promise<void>((resolve) => killed.listen(left, resolve));
    await new Promise<void>((resolve) => living.listen(alive, resolve));
    // As SIGKILL leaves it: the file stays, nobody listens. (Node's own close would take the file away.)
    renameSync(left, `${left}.kept`);
    await new Promise((resolve) => killed.close(resolve));
    renameSync(`${left}.kept`, left);
    for (const path of [left, alive]) utimesSync(path, 1, 1);
    new RunDir(folder);
    await until(
      "the left-over one is gone",
      () => existsSync(left),
      (there) => !there,
    );
    assert.ok(existsSync(alive));
    await new Promise((resolve) => living.close(resolve));
  });
});
