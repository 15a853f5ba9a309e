/**
 * A gateway whose admin port asks for keys, and every command with and without one. The planted keys, and their digests, never
 * come to light: not in the log, metrics, answers, options, nor in the arguments and environment of any process.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { digestOf } from "../../src/config/admin-keys.js";
import { descendants } from "../support/descendants.js";
import { evidencePath, readEvidence } from "../support/evidence.js";
import { cli, type Exit, freePorts, Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const folder = mkdtempSync(join(tmpdir(), "megagate-admin-keys-"));
after(() => rmSync(folder, { recursive: true }));

const secretOf = (name: string): string => `planted-${name}-`.padEnd(44, "0a1b");
const lineFor = (name: string, scopes: string): string => `${name} ${scopes} ${secretOf(name)}\n`;
const NAMES = { prices: "publish", prom: "read", ops: "operate", all: "publish,read,operate", later: "read" };
const PLANTED = Object.keys(NAMES).flatMap((name) => [secretOf(name), digestOf(secretOf(name))]);

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
const keyFile = (name: string): string => write(`${name}.key`, `${secretOf(name)}\n`);
const first = Object.entries(NAMES).filter(([name]) => name !== "later");
const FIRST = first.map(([name, scopes]) => lineFor(name, scopes)).join("");

function assertNothingPlanted(text: string, where: string): void {
  for (const secret of PLANTED) assert.ok(!text.includes(secret), `${where}: ${text.slice(0, 2000)}`);
}

/** Arguments and environment of a process, as the kernel shows them. */
const shownBy = (pid: number): string =>
  ["cmdline", "environ"].map((name) => readFileSync(`/proc/${pid}/${name}`, "utf8")).join("\n");

describe("a gateway with admin keys", () => {
  let gateway: Gateway;
  let keys: string;
  /** All that its commands and answers showed. */
  const shown: string[] = [];
  before(async () => {
    keys = write("keys", FIRST);
    gateway = await Gateway.start("--workers", "2", "--admin-keys-file", keys);
  });
  after(() => gateway[Symbol.asyncDispose]());

  const adminUrl = (): string => `http://127.0.0.1:${gateway.adminPort}`;
  const asked = (path: string, name?: string, init: RequestInit = {}): Promise<Response> =>
    gateway.admin(path, { ...init, headers: name === undefined ? {} : { authorization: `Bearer ${secretOf(name)}` } });
  const statusOf = async (path: string, name?: string): Promise<number> => (await asked(path, name)).status;
  const refusals = async (reason: string): Promise<number> => {
    const text = await (await asked("/metrics", "prom")).text();
    return Number(new RegExp(`^megagate_admin_refused_total\\{reason="${reason}"\\} (\\d+)$`, "m").exec(text)![1]);
  };
  async function run(words: readonly string[], name?: string): Promise<Exit> {
    const access = name === undefined ? [] : ["--admin-key-file", keyFile(name)];
    const exit = await cli([...words, "--admin-url", adminUrl(), ...access]).ended;
    shown.push(exit.stdout, exit.stderr);
    return exit;
  }

  const LOAD = ["load", "--connections", "100", "--hold-seconds", "0", "--broadcasts", "1"];
  const commands: [words: string, scope: string, right: string, wrong: string][] = [
    ["publish exts 1", "publish", "prices", "prom"],
    ["drain --plan", "read", "prom", "prices"],
    ["restart-workers", "operate", "ops", "prom"],
  ];
  for (const [words, scope, right, wrong] of commands) {
    it(`megagate ${words} needs a key with the scope ${scope}, and says so`, async () => {
      const without = await run(words.split(" "));
      assert.equal(without.code, 1, without.stderr);
      assert.match(without.stderr, /^megagate: the admin port at http:\S+ asks for a key: .*--admin-key-file/);
      const unknown = await run(words.split(" "), "later");
      assert.equal(unknown.code, 1);
      assert.match(unknown.stderr, /does not know the key in \S+later\.key: take one that is in its --admin-keys-file/);
      const lacking = await run(words.split(" "), wrong);
      assert.equal(lacking.code, 1);
      assert.match(lacking.stderr, new RegExp(`the key ${wrong} has the scope .* this request needs ${scope}: add it`));
      const with_ = await run(words.split(" "), right);
      assert.equal(with_.code, 0, with_.stderr);
      const env = { MEGAGATE_ADMIN_URL: adminUrl(), MEGAGATE_ADMIN_KEY_FILE: keyFile("all") };
      const byName = await cli(words.split(" "), env).ended;
      assert.equal(byName.code, 0, byName.stderr);
    });
  }

  it("megagate publish streams lines with a key", async () => {
    const publish = cli(["publish", "lines", "-", "--admin-url", adminUrl(), "--admin-key-file", keyFile("prices")]);
    const { code, stdout, stderr } = await publish.ended;
    assert.deepEqual([code, JSON.parse(stdout)], [0, { code: 0, published: 0, duplicates: 0 }], stderr);
  });

  it("megagate watch finds the clients' address with a key that may read", async () => {
    const without = await run(["watch", "exts"]);
    assert.match(without.stderr, /asks for a key/);
    const watch = cli(["watch", "exts", "--admin-url", adminUrl(), "--admin-key-file", keyFile("prom")]);
    await until(
      "it watches",
      () => watch.stdout + watch.stderr,
      (text) => text.includes("exts"),
    );
    for (const pid of [watch.process.pid!, ...descendants(watch.process.pid!)])
      assertNothingPlanted(shownBy(pid), `process ${pid}`);
    watch.process.kill("SIGINT");
    const exit = await watch.ended;
    shown.push(exit.stdout, exit.stderr);
    assert.equal(exit.code, 0, exit.stderr);
  });

  it("megagate load reads and publishes with its key, and is refused before it opens a socket without", async () => {
    const report = evidencePath();
    const target = ["--target", gateway.url, "--report", report];
    for (const [name, says] of [
      [undefined, /asks for a key: /],
      ["later", /does not know the key/],
      ["prices", /this request needs read/],
      ["prom", /this request needs publish/],
    ] as const) {
      const refused = await run([...LOAD, ...target], name);
      assert.equal(refused.code, 1, refused.stdout + refused.stderr);
      assert.match(refused.stderr, says);
      assert.doesNotMatch(refused.stdout, /opening|ramp/);
    }
    const held = await run([...LOAD, ...target], "all");
    assert.equal(held.code, 0, held.stdout + held.stderr);
    const evidence = readEvidence(report);
    assert.deepEqual([evidence.verdict, evidence.open, evidence.broadcasts[0]!.delivered], ["held", 100, 100]);
    shown.push(readFileSync(report, "utf8"));
  });

  it("megagate load restart asks first whether its key may operate", async () => {
    const scenario = [
      ...["load", "restart", "--connections", "100", "--target", gateway.url],
      ...["--baseline-seconds", "1", "--publish-rate", "20"],
    ];
    write("keys", `${FIRST}${lineFor("later", "publish,read")}`);
    await until(
      "known",
      () => statusOf("/topics", "later"),
      (status) => status === 200,
    );
    const report = evidencePath();
    const refused = await run([...scenario, "--report", report], "later");
    assert.equal(refused.code, 1, refused.stdout + refused.stderr);
    assert.match(refused.stderr, /this request needs operate/);
    const held = await run([...scenario, "--report", report], "all");
    assert.equal(held.code, 0, held.stdout + held.stderr);
    assert.equal(readEvidence(report).scenario?.rolled?.replaced, 2);
  });

  it("counts what it refused by reason", async () => {
    for (const reason of ["no_key", "wrong_key", "missing_scope"]) assert.ok((await refusals(reason)) > 0, reason);
  });

  it("changes its keys while publishers publish: none of those whose key stays is refused", async () => {
    let stop = false;
    const statuses = new Set<number>();
    const publisher = async (): Promise<void> => {
      while (!stop) {
        const body = JSON.stringify({ topic: "reload", data: 1 });
        statuses.add((await asked("/publish", "prices", { method: "POST", body })).status);
      }
    };
    const publishers = [publisher(), publisher()];
    write("keys", FIRST);
    await until(
      "the removed key is refused",
      () => statusOf("/topics", "later"),
      (status) => status === 401,
    );
    write("keys", `${FIRST}${lineFor("later", "read")}`);
    gateway.run.process.kill("SIGHUP");
    await until(
      "the new key is known",
      () => statusOf("/topics", "later"),
      (status) => status === 200,
    );
    stop = true;
    await Promise.all(publishers);
    assert.deepEqual([...statuses], [200]);
    await until(
      "the workers are replaced",
      async () => ((await (await asked("/restart-workers", "ops")).json()) as { state: string }).state,
      (state) => state === "done",
      60_000,
    );
  });

  it("keeps its keys when the file is emptied, over the death of the hub too", async () => {
    write("keys", "");
    await until(
      "told",
      () => gateway.run.stderr,
      (text) => text.includes("it holds no key"),
    );
    const { processes } = (await (await asked("/processes", "prom")).json()) as {
      processes: { role: string; pid: number }[];
    };
    process.kill(processes.find(({ role }) => role === "hub")!.pid, "SIGKILL");
    await until(
      "a new hub",
      () => statusOf("/topics", "prom").catch(() => 0),
      (status) => status === 200,
    );
    assert.equal(await statusOf("/topics"), 401);
    assert.equal(await statusOf("/topics", "prices"), 403);
    write("keys", FIRST);
    await until(
      "mended",
      () => statusOf("/topics", "later"),
      (status) => status === 401,
    );
  });

  it("never shows a key: not in its log, answers and metrics, nor in any process's arguments and environment", async () => {
    const paths = ["/metrics", "/processes", "/topics", "/drain", "/openapi.json", "/slow-readers", "/nothing"];
    for (const path of [...paths, "/readyz", "/restart-workers", `/topics/${secretOf("none")}`]) {
      for (const name of [undefined, "later", ...Object.keys(NAMES)]) {
        const answer = await asked(path, name);
        shown.push(JSON.stringify([...answer.headers]), await answer.text());
      }
    }
    const config = await cli(["serve", "--print-config", "--admin-keys-file", keys]).ended;
    assert.match(config.stdout, /^adminKeysFile: ".*keys" # flag$/m);
    const pids = [gateway.run.process.pid!, ...descendants(gateway.run.process.pid!)];
    assert.ok(pids.length >= 4, "supervisor, hub and two workers");
    for (const pid of pids) assertNothingPlanted(shownBy(pid), `process ${pid}`);
    const { stdout, stderr } = gateway.run;
    for (const text of [...shown, config.stdout, config.stderr, stdout, stderr])
      assertNothingPlanted(text, "what was shown");
    assert.match(stderr, /prices \(publish\); prom \(read\); ops \(operate\).*the admin port asks for keys/);
  });
});

it("megagate million shows its key to the gateway that it starts", async () => {
  const env = { MEGAGATE_ADMIN_KEYS_FILE: write("million", FIRST) };
  const words = ["million", "--connections", "100", "--hold-seconds", "0", "--broadcasts", "1"];
  const { port, adminPort } = await freePorts();
  const report = ["--report", evidencePath(), "--port", port, "--admin-port", adminPort];
  const without = await cli([...words, ...report], env).ended;
  assert.equal(without.code, 1, without.stderr);
  assert.match(without.stderr, /asks for a key: name a file/);
  const held = await cli([...words, ...report, "--admin-key-file", keyFile("all")], env).ended;
  assert.equal(held.code, 0, held.stdout + held.stderr);
  for (const { stdout, stderr } of [without, held]) assertNothingPlanted(stdout + stderr, "what million showed");
});

it("an admin port outside loopback starts with keys, from the file of options too, and asks for them", async () => {
  const options = write("options.yaml", `adminHost: 0.0.0.0\nadminKeysFile: ${write("open", FIRST)}\n`);
  await using open = await Gateway.start("--workers", "1", "--config", options);
  assert.equal((await open.admin("/topics")).status, 401);
  const headers = { authorization: `Bearer ${secretOf("prom")}` };
  assert.equal((await open.admin("/topics", { headers })).status, 200);
});

describe("serve refuses to start", () => {
  const refused = async (says: RegExp, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> => {
    const exit = await cli(["serve", "--port", "0", "--admin-port", "0", ...words], env).ended;
    assert.equal(exit.code, 2, exit.stderr);
    assert.match(exit.stderr, says);
    assert.equal(exit.stdout, "");
    assertNothingPlanted(exit.stderr, "its refusal");
  };

  it("with an open admin port without keys, by flag, variable and file", async () => {
    const says = /--admin-host: 0\.0\.0\.0 is not loopback, .*--admin-keys-file, or leave the port on 127\.0\.0\.1/;
    await refused(says, ["--admin-host", "0.0.0.0"]);
    await refused(says, [], { MEGAGATE_ADMIN_HOST: "0.0.0.0" });
    await refused(says, ["--config", write("bare.yaml", "adminHost: 0.0.0.0\n")]);
    await refused(says, ["--admin-host", "0.0.0.0", "--admin-keys-file", ""]);
  });

  it("with a file of keys that is not usable, by its line, and quotes nothing of it", async () => {
    const bad = write("bad", `${FIRST}x rea ${secretOf("later")}\n${secretOf("later")} read y\n`);
    await refused(/line 5: .*did you mean "read".*\n.*line 6: the first word must be a name/, [
      "--admin-keys-file",
      bad,
    ]);
    await refused(/it holds no key/, [], { MEGAGATE_ADMIN_KEYS_FILE: write("empty", "") });
  });
});
