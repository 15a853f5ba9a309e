/**
 * Every command finds the same gateway by the same words: --admin-url, MEGAGATE_ADMIN_URL, MEGAGATE_ADMIN_PORT or the
 * gateway's configuration file, as a unit's environment file gives them to `serve` and to `systemctl reload` alike.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { cli, Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

describe("one gateway and many commands", () => {
  let gateway: Gateway;
  let folder = "";
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "megagate-many-"));
    gateway = await Gateway.start("--workers", "1");
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const words = (): readonly (readonly [string, NodeJS.ProcessEnv, readonly string[]])[] => {
    const port = String(gateway.adminPort);
    const path = join(folder, "gateway.yaml");
    writeFileSync(path, `adminPort: ${port}\nport: ${gateway.port}\n`);
    return [
      ["--admin-url", {}, ["--admin-url", `http://127.0.0.1:${port}`]],
      ["MEGAGATE_ADMIN_URL", { MEGAGATE_ADMIN_URL: `http://127.0.0.1:${port}` }, []],
      ["MEGAGATE_ADMIN_PORT", { MEGAGATE_ADMIN_PORT: port }, []],
      ["MEGAGATE_CONFIG", { MEGAGATE_CONFIG: path }, []],
    ];
  };

  it("publish, drain, restart-workers and watch", async () => {
    for (const [name, env, flags] of words()) {
      const published = await cli(["publish", "t", '"x"', ...flags], env).ended;
      assert.match(published.stdout, /"code":0/, `${name}: ${published.stderr}`);
      const plan = await cli(["drain", "--plan", ...flags], env).ended;
      assert.equal(plan.code, 0, `${name}: ${plan.stderr}`);
      const watch = cli(["watch", "t", ...flags], env);
      await until(
        `${name}: watch shows the topic`,
        () => watch.stdout + watch.stderr,
        (text) => /t stands at offset/.test(text),
      ).finally(() => watch.process.kill("SIGINT"));
      assert.equal((await watch.ended).code, 0);
    }
    const [, env] = words()[2]!;
    const roll = await cli(["restart-workers"], env).ended;
    assert.equal(roll.code, 0, roll.stderr);
    assert.match(roll.stdout, /1 workers replaced/);
  });

  it("load: its own variables carry its name, and the gateway's own say where that is", async () => {
    const report = join(folder, "evidence.json");
    const env = {
      MEGAGATE_ADMIN_PORT: String(gateway.adminPort),
      MEGAGATE_PORT: String(gateway.port),
      MEGAGATE_LOAD_CONNECTIONS: "20",
      MEGAGATE_LOAD_HOLD_SECONDS: "1",
      MEGAGATE_LOAD_REPORT: report,
      // The gateway's, which would be far too many for a load here.
      MEGAGATE_CONNECTIONS: "60000000",
    };
    const exit = await cli(["load", "--broadcasts", "1"], env).ended;
    assert.equal(exit.code, 0, exit.stdout + exit.stderr);
    assert.equal((JSON.parse(readFileSync(report, "utf8")) as { open: number }).open, 20);
    assert.match(exit.stderr, /MEGAGATE_CONNECTIONS is an option of serve; for load set MEGAGATE_LOAD_CONNECTIONS/);
  });
});

describe("the names that Kubernetes gives to Services", () => {
  it("are no options: the gateway starts with its own ports, and its log says so once", async () => {
    const env = {
      MEGAGATE_PORT: "tcp://10.96.0.17:8080",
      MEGAGATE_ADMIN_PORT: "tcp://10.96.0.18:8081",
      MEGAGATE_SERVICE_HOST: "10.96.0.17",
      MEGAGATE_PORT_8080_TCP_ADDR: "10.96.0.17",
    };
    const shown = await cli(["serve", "--print-config"], env).ended;
    assert.match(shown.stdout, /^port: 8080 # default\n.*^adminPort: 8081 # default$/ms);
    assert.match(
      shown.stderr,
      /^megagate: MEGAGATE_PORT, MEGAGATE_ADMIN_PORT: the address of a Service, .*; ignored\n$/,
    );
    await using gateway = await Gateway.startIn({ env }, "--workers", "1");
    const lines = gateway.run.stderr.split("\n").filter((line) => line.includes("address of a Service"));
    assert.equal(lines.length, 1);
    assert.equal((JSON.parse(lines[0]!) as { level: string }).level, "warn");
  });
});
