/**
 * Wrong words on the command line, in the environment and in files: the sentence that each gets. Each names what is wrong,
 * most of them the remedy; none is a stack trace, none waits, and each has the exit status that errors.ts gives it.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { cli, type RunEnvironment } from "../support/gateway.js";

const folder = mkdtempSync(join(tmpdir(), "megagate-words-"));
let files = 0;
const file = (content: string | Buffer): string => {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, content);
  return path;
};

/** An alias bomb: nine levels of nine, a few hundred million values if anybody spelt it out. */
const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]", "b", "c", "d", "e", "f", "g", "h", "i"].map((line, i, all) => {
  if (i === 0) return line;
  const before = i === 1 ? "a" : all[i - 1]!;
  return `${line}: &${line} [${Array(9).fill(`*${before}`).join(",")}]`;
});

interface Wrong {
  readonly words: readonly string[];
  readonly says: RegExp;
  /** 2 where not given: bad words. */
  readonly status?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly as?: RunEnvironment;
}

/** Nobody listens there. */
const NOBODY = "127.0.0.1:9";
const wrong = (words: string, says: RegExp, more: Omit<Wrong, "words" | "says"> = {}): Wrong => ({
  words: words.split(" ").filter((word) => word !== ""),
  says,
  ...more,
});
const config = (content: string | Buffer, says: RegExp): Wrong => wrong(`serve --config ${file(content)}`, says);

const TABLE: readonly Wrong[] = [
  // Commands and their words.
  wrong("", /Usage: megagate/),
  wrong("srve", /unknown command 'srve'\n\(Did you mean serve\?\)/),
  wrong("serve now", /too many arguments for 'serve'/),
  wrong("serve --prot 1", /unknown option '--prot'/),
  wrong("serve --port", /option '--port <port>' argument missing/),
  wrong("watch", /missing required argument 'topic'/),
  wrong("watch a:", /"a:" is no topic name: 1–128 characters/),
  wrong("load strom", /must be one of steady \| storm .* \(did you mean "storm"\?\), got "strom"/),
  wrong("load storm --scenario drill", /two scenarios: storm, and --scenario drill; give one/),
  wrong("publish", /name a topic, or give whole messages on stdin with --raw/),
  wrong("publish t --delete", /--delete needs a --key and takes no data/),
  wrong("drain", /this command only plans: megagate drain --plan/),
  wrong("doctor --full", /--full goes with --prove/),
  wrong("tune --diff --verify", /--diff and --verify are 2 actions, .* name one/),
  // Values.
  wrong("serve --workers 1,5", /--workers: must be a whole number \(0–4,096 processes\), got "1,5"/),
  wrong("serve --workers 1.5", /--workers: must be a whole number .*, got "1\.5"/),
  wrong("serve --connections 10,00", /--connections: must be a whole number .*, got "10,00"/),
  wrong("serve --connections 1e6", /--connections: must be a whole number .*, got "1e6"/),
  wrong("serve --port 65536", /--port: must be a whole number in 0–65,535 \(port\), got "65536"/),
  wrong(
    "serve --host localhost",
    /--host: must be an IPv4 or IPv6 address; 0\.0\.0\.0 for every interface.*, got "localhost"/,
  ),
  wrong("serve --topic-memory-bytes 1,5GB", /--topic-memory-bytes: must be a size in bytes .*, got "1,5GB"/),
  wrong("serve --topic-memory-bytes 0.5", /--topic-memory-bytes: must be a size in bytes/),
  wrong("serve --log-level inof", /must be one of debug \| info .*\(did you mean "info"\?\), got "inof"/),
  wrong("serve --dev maybe", /--dev: must be true or false, got "maybe"/),
  wrong("serve --topic-rules user:histroy=1", /--topic-rules: must be PREFIX:NAME=VALUE/),
  wrong(
    "serve --port 8080 --admin-port 8080",
    /--admin-port: 8080 is the public port \(--port\) too; give each its own/,
  ),
  wrong("serve --admin-host 0.0.0.0", /--admin-host: 0\.0\.0\.0 is not loopback,.*--admin-keys-file/),
  wrong("serve --admin-host 10.0.0.1 --print-config", /--admin-host: 10\.0\.0\.1 is not loopback,/),
  wrong("serve --admin-keys-file /nowhere/keys", /--admin-keys-file: \/nowhere\/keys: cannot be read: ENOENT/),
  wrong("publish t 1 --admin-key-file /nowhere/key", /--admin-key-file: \/nowhere\/key: cannot be read: ENOENT/),
  wrong("serve --port 80 --admin-port 80 --admin-host 0.0.0.0", /--admin-port: 80 is the public port/),
  wrong(
    "serve --host 192.168.0.1",
    /--host: whoever reaches 192\.168\.0\.1 could follow every topic; give keys .*, or --allow-anonymous/,
  ),
  wrong(
    "serve --auth-issuer x",
    /--auth-issuer: says which tokens are accepted, and without a key none is: give --auth-/,
  ),
  wrong("serve --auth-secret-file x --allow-anonymous", /--allow-anonymous: clients need a token here; leave out/),
  wrong("serve --auth-secret-file /nowhere", /cannot read the keys in \/nowhere: ENOENT/),
  wrong("serve --auth-secret-file /dev/null", /\/dev\/null: a secret for HS256 has at least 32 bytes, this one 0/),
  wrong("serve --auth-algorithms none", /--auth-algorithms: must be HS256, RS256, ES256, EdDSA, joined by commas/),
  wrong(
    "serve --auth-default-topics us*",
    /--auth-default-topics: must be patterns such as news, user:\{sub\} or call:\*/,
  ),
  wrong("serve --auth-clock-skew-seconds 301", /--auth-clock-skew-seconds: must be a whole number in 0–300/),
  wrong("million --port 8081", /--admin-port: 8081 is the public port/),
  wrong("tune --ports 8080;8081", /--ports: must be port numbers \(1–65,535 each, separated by commas\)/),
  wrong("plan --cores many", /--cores: must be a whole number \(0–4,096 cores\), got "many"/),
  wrong("load --target http://127.0.0.1:8080/", /--target: must be ws:\/\/HOST\[:PORT\]\[\/PATH\], got "http:/),
  wrong("load --target ws://127.0.0.1:99999/ws", /--target: must be ws:/),
  wrong("load --topic a..b", /--topic: must be one topic name/),
  // Addresses at which there is no gateway.
  wrong("publish t 1 --admin-url 127.0.0.1:8081", /--admin-url: must be http:\/\/HOST:PORT, got "127\.0\.0\.1:8081"/),
  wrong(
    `publish t 1 --admin-url http://${NOBODY}`,
    /no gateway answers at http:\/\/127\.0\.0\.1:9: .*Is `megagate serve` running\?/,
    { status: 1 },
  ),
  wrong(`restart-workers --admin-url http://${NOBODY}`, /no gateway answers at http:\/\/127\.0\.0\.1:9: /, {
    status: 1,
  }),
  wrong(`drain --plan --admin-url http://${NOBODY}`, /no gateway answers at http:\/\/127\.0\.0\.1:9: /, { status: 1 }),
  wrong("watch t --url 127.0.0.1:8080", /--url: must be ws:\/\/HOST\[:PORT\]\/PATH, got "127\.0\.0\.1:8080"/),
  wrong(`watch t --url ws://${NOBODY}/ws`, /no gateway answers at ws:\/\/127\.0\.0\.1:9\/ws: connect ECONNREFUSED/, {
    status: 1,
  }),
  wrong(
    `load --target ws://${NOBODY}/ws`,
    /cannot open a WebSocket at ws:\/\/127\.0\.0\.1:9\/ws .*ECONNREFUSED.*\n.*make serve/,
    { status: 1 },
  ),
  // Places.
  wrong(
    "serve --run-dir /proc/x/y",
    /--run-dir: \/proc\/x\/y cannot be used: .*; name a folder that this user may write/,
  ),
  wrong("serve --run-dir /etc/passwd/x", /--run-dir: .* cannot be used: ENOTDIR/),
  wrong(`serve --run-dir /tmp/${"x".repeat(90)}`, /--run-dir: at most 85 bytes long/),
  wrong(
    "serve --port 0 --admin-port 0",
    /TMPDIR: no folder can be made in \/nowhere: .*; set TMPDIR to a folder that this user may write/,
    {
      env: { TMPDIR: "/nowhere" },
    },
  ),
  wrong(
    "load --report /proc/x/y",
    /--report: \/proc\/x\/y cannot be written: .*; name a file that this user may write/,
  ),
  wrong("load --report /tmp", /--report: \/tmp cannot be written: it is a folder/),
  wrong("million --report /etc/passwd/x.json", /--report: .* cannot be written: (?:ENOTDIR|EEXIST)/),
  wrong("plan --evidence /nowhere.json", /\/nowhere\.json/),
  // Files.
  wrong("serve --config /nowhere.yaml", /cannot read the configuration file \/nowhere\.yaml/),
  wrong("serve --config /tmp", /cannot read the configuration file \/tmp: EISDIR/),
  wrong("serve --config /dev/zero", /cannot read the configuration file \/dev\/zero: it has more than 262144 bytes/),
  config(bomb.join("\n"), /\.yaml:1:1 a: must be one value, not a list or a map/),
  config(`port: ${"[".repeat(100_000)}`, /\.yaml: its lists or maps lie too deep in each other/),
  config(
    "constructor: 1\n__proto__: 1\n",
    /\.yaml:1:1 constructor: no such option\n.*\.yaml:2:1 __proto__: no such option\n/,
  ),
  config("idle-timeout-seconds: 5\n", /idle-timeout-seconds: no such option \(did you mean "idleTimeoutSeconds"\?\)/),
  config("port: 1\nport: 2\n", /Map keys must be unique at line 2/),
  config("port: !!int8 5\n", /Unresolved tag: /),
  config("port: {a: 1}\n", /\.yaml:1:1 port: must be one value, not a list or a map/),
  config("port: 1,5\n", /\.yaml:1:1 port: must be a whole number .*, got "1,5"/),
  config(Buffer.from([0xff, 0xfe, 0x00]), /it is not UTF-8 text/),
  // The environment.
  wrong("serve", /MEGAGATE_PORT: must be a whole number in 0–65,535 \(port\), got "70000"/, {
    env: { MEGAGATE_PORT: "70000" },
  }),
  wrong("publish t 1", /MEGAGATE_ADMIN_PORT: must be http:\/\/HOST:PORT, got "http:\/\/127\.0\.0\.1:eighty"/, {
    env: { MEGAGATE_ADMIN_PORT: "eighty" },
  }),
  wrong("serve --port x", /MEGAGATE_WORKRES is no option of any command, .*did you mean MEGAGATE_WORKERS\?/s, {
    env: { MEGAGATE_WORKRES: "4", MEGAGATE_DEV: "perhaps" },
  }),
  wrong("tune --ports x", /MEGAGATE_CONNECTIONS is an option of serve; for tune set MEGAGATE_TUNE_CONNECTIONS/, {
    env: { MEGAGATE_CONNECTIONS: "60000000" },
  }),
  wrong("tune --ports x", /MEGAGATE_NOFILE is no option of any command, .*did you mean MEGAGATE_TUNE_NOFILE\?/, {
    env: { MEGAGATE_NOFILE: "1000" },
  }),
  // The machine.
  wrong("serve", /Megagate needs a descriptor limit of 128 or more; it is 64 here\. Raise it: ulimit -n/, {
    as: { nofile: 64 },
  }),
  wrong("plan", /Megagate needs a descriptor limit of 128 or more; it is 64 here/, { as: { nofile: 64 } }),
];

describe("wrong words", { concurrency: 2 }, () => {
  after(() => rmSync(folder, { recursive: true, force: true }));

  it(`are ${TABLE.length} here`, () => assert.ok(TABLE.length >= 40));

  for (const { words, says, status = 2, env = {}, as } of TABLE) {
    const named = Object.entries(env).map(([name, value]) => `${name}=${value ?? ""}`);
    it(
      [...named, "megagate", ...words]
        .join(" ")
        .replace(/x{20,}/, "x…")
        .replace(folder, "FOLDER") + (as?.nofile ? ` under ulimit -n ${as.nofile}` : ""),
      async () => {
        const exit = await cli(words, env, as).ended;
        assert.match(exit.stderr, says);
        assert.doesNotMatch(exit.stdout + exit.stderr, /^ {4}at |unexpected:/m, "a stack trace");
        assert.equal(exit.code, status, exit.stderr);
      },
    );
  }
});

describe("a server that is no gateway", () => {
  let server: Server;
  let where = "";
  before(async () => {
    server = createServer((_request, response) => response.end("<h1>Welcome\n to nginx</h1>"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    where = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  for (const words of ["publish t 1 --admin-url", "drain --plan --admin-url", "restart-workers --admin-url"]) {
    it(`${words.split(" ")[0]!}: its 200 is not taken for a success`, async () => {
      const exit = await cli([...words.split(" "), `http://${where}`]).ended;
      assert.deepEqual([exit.code, exit.stdout], [1, ""]);
      assert.match(
        exit.stderr,
        /no gateway answers at http:.*: status 200 "<h1>Welcome to nginx<\/h1>" is no answer of/,
      );
    });
  }

  it("watch: stops", async () => {
    const exit = await cli(["watch", "t", "--url", `ws://${where}/ws`]).ended;
    assert.equal(exit.code, 1);
    assert.match(exit.stderr, /no gateway answers at ws:.*: Unexpected server response: 200/);
  });
});
