/**
 * The quick start of README.md, command by command, as a newcomer copies it; only the ports are others. `make` takes what is built
 * as it is: the tests themselves run from there.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { Run } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";
import { until } from "../support/wait.js";

const [, QUICK_START = ""] = /## Quick start\n([\s\S]*?)\n## /.exec(readFileSync("README.md", "utf8")) ?? [];
const CODE = [...QUICK_START.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].map(([, language, text]) => ({
  language: language!,
  text: text!,
}));
const SDK = pathToFileURL("dist/src/client/client.js").href;

const lines = (text: string): string[] => text.trimEnd().split("\n");
const sh = (command: string, env: NodeJS.ProcessEnv = {}): Run =>
  new Run(
    spawn("sh", ["-c", `exec ${command}`], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] }),
  );

interface Ready {
  readonly page: string;
  readonly clients: string;
  readonly admin: string;
  readonly workers: number;
}

describe("the quick start of README.md", { skip: needsPrograms("make", "curl"), timeout: 60_000 }, () => {
  let gateway: Run;
  let ready: Ready;
  let env: NodeJS.ProcessEnv;
  /** The same command for the ports of this test. */
  const here = (command: string): string =>
    command
      .replaceAll("127.0.0.1:8081", new URL(ready.admin).host)
      .replaceAll("127.0.0.1:8080", new URL(ready.page).host);

  before(async () => {
    const [make] = lines(CODE[0]!.text);
    assert.equal(make, "make serve ARGS=--dev");
    gateway = sh(make.replace("make", "make -s -o dist/.built PORT=0 ADMIN_PORT=0"));
    const out = (): string => gateway.stdout;
    ready = JSON.parse(await until("the gateway is ready", out, (text) => text.endsWith("\n"), 30_000)) as Ready;
    env = { MEGAGATE_PORT: new URL(ready.clients).port, MEGAGATE_ADMIN_PORT: new URL(ready.admin).port };
  });

  after(async () => {
    // `make` hands the signal on and ends by it.
    gateway.process.kill("SIGTERM");
    assert.match((await gateway.ended).stderr, /"stopped"/);
  });

  it("starts a small gateway that names its page, without root", async () => {
    assert.equal(ready.workers, 2);
    assert.match(await (await fetch(ready.page)).text(), /<title>Extensions<\/title>/);
  });

  it("publishes and watches by its commands", async () => {
    const [watch, curl, publish] = lines(CODE[1]!.text).map((line) => here(line.replace(/ +# .*/, "")));
    const watching = sh(watch!, env);
    await until(
      "it watches",
      () => watching.stdout,
      (text) => text.includes("exts"),
    );
    for (const command of [curl!, publish!]) {
      const { code, stdout, stderr } = await sh(command, env).ended;
      assert.equal(code, 0, stderr);
      assert.match(stdout, /"offset":\d/);
    }
    await until(
      "both are seen",
      () => watching.stdout,
      (text) => /8001.*talking[\s\S]*8002.*idle/.test(text),
    );
    watching.process.kill("SIGINT");
    await watching.ended;
  });

  it("subscribes by the code of its page", async () => {
    const { language, text } = CODE[2]!;
    assert.equal(language, "html");
    const script = /<script type="module">\n([\s\S]*)<\/script>/.exec(text)![1]!;
    const folder = await mkdtemp("dist/quick-start-");
    try {
      const file = join(folder, "page.mjs");
      // Node 20 has no WebSocket of its own.
      const socket = 'import { WebSocket } from "ws";\nglobalThis.WebSocket = WebSocket;\n';
      writeFileSync(file, socket + here(script).replace(/"http:[^"]*megagate\.js"/, `"${SDK}"`));
      const page = sh(`'${process.execPath}' ${file}`);
      await until(
        "its first state",
        () => page.stdout,
        (out) => out.includes("talking"),
      );
      await sh(here(lines(CODE[1]!.text)[1]!)).ended;
      await until(
        "a push",
        () => page.stdout,
        (out) => /\d+ 8001 talking/.test(out),
      );
      page.process.kill("SIGTERM");
      await page.ended;
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
