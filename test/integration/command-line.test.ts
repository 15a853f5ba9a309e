/** Every bad word on the command line, in the environment or in the file gets a clear sentence and its own exit status. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CLI, cli, Run } from "../support/gateway.js";
import { needsRoot } from "../support/needs.js";

const folder = mkdtempSync(join(tmpdir(), "megagate-test-"));
const file = (content: string): string => {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, content);
  return path;
};

async function fails(args: string[], env: NodeJS.ProcessEnv, ...expected: RegExp[]): Promise<void> {
  const exit = await cli(args, env).ended;
  assert.equal(exit.code, 2, exit.stdout + exit.stderr);
  for (const pattern of expected) assert.match(exit.stderr, pattern);
  assert.doesNotMatch(exit.stderr, /\n {4}at /, "no stack trace");
}

describe("command line", () => {
  it("an unknown flag: named, with the nearest known one", () =>
    fails(["serve", "--prot", "1"], {}, /unknown option '--prot'/, /--port/));

  it("all faults of flags, environment and file are reported together, each with its range and place", () =>
    fails(
      ["serve", "--port", "99999", "--workers", "many", "--config", file("# mine\nbacklog: 0\nprt: 1\n")],
      { MEGAGATE_IDLE_TIMEOUT_SECONDS: "5" },
      /--port: must be a whole number in 0–65,535 \(port\), got "99999"/,
      /--workers: must be a whole number \(0–4,096 processes\), got "many"/,
      /MEGAGATE_IDLE_TIMEOUT_SECONDS: must be a whole number in 0, 32–960 \(seconds\), got "5"/,
      /\.yaml:2:1 backlog: must be a whole number in 1–65,535/,
      /\.yaml:3:1 prt: no such option/,
    ));

  it("a file that is no YAML, no map, or not there", async () => {
    await fails(["serve", "--config", file("a: [1")], {}, /\.yaml: /);
    await fails(["serve", "--config", file("- 1")], {}, /must be a map of option names/);
    await fails(["serve", "--config", "/nowhere.yaml"], {}, /cannot read the configuration file \/nowhere.yaml/);
  });

  it("--print-config: flag over environment over file over default, readable again", async () => {
    const path = file("port: 1001\nadminPort: 1002\nbacklog: 1003\n");
    const env = { MEGAGATE_ADMIN_PORT: "2002", MEGAGATE_PORT: "2001", MEGAGATE_CONFIG: path };
    const first = await cli(["serve", "--print-config", "--port", "3001"], env).ended;
    assert.equal(first.code, 0, first.stderr);
    for (const line of [
      "port: 3001 # flag",
      "adminPort: 2002 # env",
      "backlog: 1003 # file",
      'host: "127.0.0.1" # default',
    ]) {
      assert.ok(first.stdout.split("\n").includes(line), `${line}\n${first.stdout}`);
    }
    const again = await cli(["serve", "--print-config", "--config", file(first.stdout)]).ended;
    assert.equal(again.stdout.replaceAll(/ # \w+/g, ""), first.stdout.replaceAll(/ # \w+/g, ""));
  });

  it("a port in use: says which, and how to see who has it", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await fails(
      ["serve", "--port", String(port)],
      {},
      new RegExp(`public port ${port} on 127.0.0.1 is in use`),
      /ss -ltnp/,
    );
    await fails(
      ["serve", "--port", "0", "--admin-port", String(port)],
      {},
      new RegExp(`admin port ${port} .* is in use`),
    );
    server.close();
  });

  it("a port below 1024 without the right: says so", {
    skip: needsRoot("to drop its rights"),
  }, async () => {
    const args = [CLI, "serve", "--port", "80", "--admin-port", "0"];
    const exit = await new Run(
      spawn(process.execPath, args, { uid: 65_534, gid: 65_534, stdio: ["ignore", "pipe", "pipe"] }),
    ).ended;
    assert.equal(exit.code, 2, exit.stderr);
    assert.match(exit.stderr, /public port 80 on 127.0.0.1 needs a right that this user lacks/);
  });

  it("an address that this machine does not have", () =>
    fails(["serve", "--host", "192.0.2.1", "--allow-anonymous", "--port", "0"], {}, /no such address/));

  it("more than the descriptors allow: says how many workers it takes", async () => {
    const limited = (args: string): Run =>
      new Run(
        spawn("sh", ["-c", `ulimit -n 256; exec "${process.execPath}" "${CLI}" serve --port 0 --admin-port 0 ${args}`]),
      );
    const cap = await limited("--connections 100 --worker-connections 1000").ended;
    assert.equal(cap.code, 2);
    assert.match(
      cap.stderr,
      /--worker-connections: a worker can hold 156 connections under the descriptor limit of 256/,
    );
    const workers = await limited("--connections 100000 --workers 2").ended;
    assert.equal(workers.code, 2);
    assert.match(
      workers.stderr,
      /--workers: 100000 connections need at least \d+ workers under the descriptor limit of 256/,
    );
  });

  it("publish to nobody: says where it tried", async () => {
    const exit = await cli(["publish", "t", "1", "--admin-url", "http://127.0.0.1:1"]).ended;
    assert.equal(exit.code, 1);
    assert.match(exit.stderr, /no gateway answers at http:\/\/127.0.0.1:1: .*Is `megagate serve` running\?/);
  });

  it("help lists every option of serve with range, default and environment name", async () => {
    const { stdout } = await cli(["serve", "--help"]).ended;
    assert.match(
      stdout.replaceAll(/\s+/g, " "),
      /--idle-timeout-seconds <seconds> .* default 120; env MEGAGATE_IDLE_TIMEOUT_SECONDS/,
    );
  });
});
