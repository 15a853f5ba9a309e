/** A real gateway that wants tokens: who is let in, what each may follow, and when it must come back. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import WebSocket from "ws";
import { MegagateClient } from "../../src/client/client.js";
import { Client, HANDSHAKE, RawPeer } from "../support/client.js";
import { cli, Gateway } from "../support/gateway.js";
import { PUBLIC, SECRET, tokenFor } from "../support/tokens.js";
import { until } from "../support/wait.js";

const folder = mkdtempSync(join(tmpdir(), "megagate-auth-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const SECRET_FILE = file("secret", SECRET);
const OURS = "megagate.v1";

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const tokenOf = (sub: string, more: object = {}): string =>
  tokenFor({ sub, exp: inSeconds(600), megagate: { subscribe: ["news", `user:{sub}`] }, ...more });

/** The answer to a handshake with these further header lines. */
async function answer(port: number, lines: readonly string[], query = ""): Promise<string> {
  const peer = await RawPeer.connect(port);
  const head = HANDSHAKE.replace("/ws ", `/ws${query} `).replace(
    "\r\n\r\n",
    `\r\n${lines.map((l) => `${l}\r\n`).join("")}\r\n`,
  );
  peer.socket.write(head);
  const text = await until(
    "an answer",
    () => peer.received,
    (received) => received.includes("\r\n\r\n"),
  );
  peer.socket.destroy();
  return text;
}

describe("a gateway with a secret", () => {
  it("is watched with the token of a file, and says what is missing without one", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--auth-secret-file", SECRET_FILE);
    const watched = (...more: string[]): ReturnType<typeof cli> =>
      cli(["watch", "news", "--url", gateway.url, ...more]);
    const good = watched("--token-file", file("token", `${tokenOf("7")}\n`));
    try {
      const shows = (text: string): Promise<string> =>
        until(
          text,
          () => good.stdout + good.stderr,
          (out) => out.includes(text),
        );
      await shows("news stands at");
      await gateway.publish("news", "of today");
      await shows("of today");
    } finally {
      good.process.kill("SIGINT");
    }
    assert.equal((await good.ended).code, 0);
    for (const [more, says] of [
      [[], /asks for a token: name a file.*--token-file/],
      [["--token-file", file("old", tokenOf("7", { exp: inSeconds(-60) }))], /does not accept the token in .*old/],
      [["--token-file", join(folder, "none")], /--token-file: .*none cannot be read: ENOENT/],
    ] as const) {
      const { code, stderr } = await watched(...more).ended;
      assert.notEqual(code, 0);
      assert.match(stderr, says);
    }
  });

  it("lets in by Authorization and by sub-protocol, refuses others by their reason, and never shows a token", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--auth-secret-file", SECRET_FILE);
    const { port } = gateway;
    const good = tokenOf("7");
    const byHeader = await answer(port, [`Authorization: Bearer ${good}`]);
    assert.match(byHeader, /^HTTP\/1.1 101 /);
    assert.doesNotMatch(byHeader, /Sec-WebSocket-Protocol/i);
    const byProtocol = await answer(port, [`Sec-WebSocket-Protocol: ${OURS}, bearer.${good}`]);
    assert.match(byProtocol, /^HTTP\/1.1 101 .*\r\nSec-WebSocket-Protocol: megagate.v1\r\n/is);
    assert.ok(!byProtocol.includes(good), "the token is not echoed");
    const byLines = await answer(port, [`Sec-WebSocket-Protocol: ${OURS}`, `Sec-WebSocket-Protocol: bearer.${good}`]);
    assert.match(byLines, /^HTTP\/1.1 101 /, "one sub-protocol a line");
    const long = await RawPeer.connect(port);
    const text = HANDSHAKE.replace(
      "\r\n\r\n",
      `\r\nAuthorization: Bearer ${tokenOf("7", { role: "x".repeat(2000) })}\r\n\r\n`,
    );
    long.socket.setNoDelay(true);
    long.socket.write(text.slice(0, 1400));
    setTimeout(() => long.socket.write(text.slice(1400)), 50);
    await until(
      "an answer to a token in two segments",
      () => long.received,
      (received) => received.startsWith("HTTP/1.1 101 "),
    );
    long.socket.destroy();

    const bad = good.slice(0, -2);
    const expired = tokenOf("7", { exp: inSeconds(-60) });
    for (const [lines, query, code, challenge] of [
      [[], "", 4302, "Bearer"],
      [[], `?token=${good}&access_token=${good}`, 4302, "Bearer"],
      [["Authorization: Basic eDp5"], "", 4302, "Bearer"],
      [[`Authorization: Bearer ${bad}`], "", 4303, 'Bearer error="invalid_token"'],
      [[`Sec-WebSocket-Protocol: bearer.${good}`], "", 4303, 'Bearer error="invalid_token"'],
      [[`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`], "", 4303, 'Bearer error="invalid_token"'],
      [[`Authorization: Bearer ${expired}`], "", 4100, 'Bearer error="invalid_token"'],
    ] as const) {
      const text = await answer(port, lines, query);
      assert.match(text, /^HTTP\/1.1 401 Unauthorized\r\n/);
      assert.ok(text.includes(`\r\nWWW-Authenticate: ${challenge}\r\n`), text);
      assert.ok(text.includes(`"code":${code},`), text);
      assert.ok(!text.includes(good) && !text.includes(bad));
    }
    await gateway.shows('megagate_refused_total{reason="no_token"}', 3);
    await gateway.shows('megagate_refused_total{reason="bad_token"}', 3);
    await gateway.shows('megagate_refused_total{reason="expired_token"}', 1);
    const { stdout, stderr } = gateway.run;
    for (const planted of [SECRET, good, bad, expired]) assert.ok(!`${stdout}${stderr}`.includes(planted));
  });

  it("answers topics beyond the grant with one code, by URL, Subscribe and Query, and the hub hears of none", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--auth-secret-file", SECRET_FILE);
    await gateway.publish("user:8", 1);
    const topics = await gateway.metric("megagate_topics");
    const client = await Client.open(`${gateway.url}?topics=user:7,user:8`, [OURS, `bearer.${tokenOf("7")}`]);
    client.send({ reqtype: "Subscribe", topic: "user:8", id: 1 });
    client.send({ reqtype: "Query", action: "alluser:8", id: 2 });
    client.send({ reqtype: "Subscribe", topic: "user:nobody", id: 3 });
    client.send({ reqtype: "Query", action: "allnews", id: 4 });
    await client.find("the last answer", ({ id }) => id === 4);
    await client.find("the allowed topic of the URL", ({ topic, code }) => topic === "user:7" && code === 0);
    const refused = client.messages.filter(({ code }) => code === 4029);
    assert.equal(refused.length, 4);
    assert.deepEqual([...new Set(refused.map(({ error }) => error))], ["the token does not allow this topic"]);
    await gateway.publish("user:8", 2);
    await gateway.publish("user:7", 3);
    await client.find("its own push", ({ data }) => data === 3);
    assert.ok(!client.messages.some(({ data }) => data === 2));
    await gateway.shows("megagate_topics", topics + 2);
    await client.end();
  });

  it("closes a connection whose token expires, with 4100, and takes it back with a new one", async () => {
    const skew = ["--auth-clock-skew-seconds", "0"];
    await using gateway = await Gateway.start("--workers", "1", "--auth-secret-file", SECRET_FILE, ...skew);
    const exp = inSeconds(3);
    const [short, long] = await Promise.all(
      [{ exp }, {}].map((more) => Client.open(gateway.url, [OURS, `bearer.${tokenOf("7", more)}`])),
    );
    const { code, reason } = await short!.untilClosed();
    assert.deepEqual([code, reason], [4100, "the token has expired; come back with a new one"]);
    assert.ok(Date.now() / 1000 >= exp, "not before its time");
    assert.equal(long!.closed, undefined);
    await gateway.shows('megagate_closed_total{reason="expired"}', 1);
    await long!.end();
  });

  it("is used by the SDK, which asks for a new token when the old one has expired", async () => {
    const skew = ["--auth-clock-skew-seconds", "0"];
    await using gateway = await Gateway.start("--workers", "1", "--auth-secret-file", SECRET_FILE, ...skew);
    let asked = 0;
    const token = (): Promise<string> => Promise.resolve(tokenOf("7", { exp: inSeconds(++asked === 1 ? 2 : 600) }));
    const client = new MegagateClient({ url: gateway.url, WebSocket, token });
    const pushes: unknown[] = [];
    client.subscribe("user:7", { onPush: ({ data }) => pushes.push(data) });
    await until(
      "a second connection",
      () => client.counts.connections,
      (count) => count === 2,
    );
    await until(
      "it is open",
      () => client.state,
      (state) => state === "open",
    );
    await gateway.publish("user:7", "hello");
    await until(
      "the push",
      () => pushes,
      (all) => all.length === 1,
    );
    assert.equal(asked, 2);
    client.close();
  });
});

it("keys of a JWKS file rotate with the workers", async () => {
  const set = (name: "RS256" | "ES256"): string =>
    JSON.stringify({ keys: [{ ...PUBLIC[name].export({ format: "jwk" }), kid: name, alg: name }] });
  const jwks = file("jwks", set("RS256"));
  await using gateway = await Gateway.start("--workers", "1", "--auth-jwks-file", jwks, "--auth-audience", "push");
  const status = async (name: "RS256" | "ES256"): Promise<string> => {
    const token = tokenFor({ exp: inSeconds(600), aud: ["push"] }, name);
    return (await answer(gateway.port, [`Authorization: Bearer ${token}`])).slice(9, 12);
  };
  assert.deepEqual([await status("RS256"), await status("ES256")], ["101", "401"]);
  file("jwks", set("ES256"));
  gateway.run.process.kill("SIGHUP");
  await until(
    "the new key",
    () => status("ES256"),
    (text) => text === "101",
    20_000,
  );
  assert.equal(await status("RS256"), "401");
  await until(
    "the roll is over",
    () => gateway.run.stderr,
    (text) => text.includes("rolling restart done"),
  );
  file("jwks", "{");
  gateway.run.process.kill("SIGHUP");
  await until(
    "the log",
    () => gateway.run.stderr,
    (text) => text.includes("the keys that were read before stay in use"),
  );
  assert.equal(await status("ES256"), "101");
});

describe("a host that is not this machine alone", () => {
  const ONE = ["serve", "--port", "0", "--admin-port", "0", "--workers", "1", "--connections", "100"];

  it("is refused without keys, whether flag, environment or file names it", async () => {
    const config = file("config.yaml", "host: 0.0.0.0\n");
    for (const [args, env] of [
      [["--host", "0.0.0.0"], {}],
      [[], { MEGAGATE_HOST: "0.0.0.0" }],
      [["--config", config], {}],
      [["--host", "0.0.0.0", "--print-config"], {}],
    ] as const) {
      const { code, stderr } = await cli([...ONE, ...args], env).ended;
      assert.equal(code, 2);
      assert.match(
        stderr,
        /--host: whoever reaches 0\.0\.0\.0 could follow every topic; give keys .* or --allow-anonymous/,
      );
    }
  });

  it("is taken with --allow-anonymous, and the log warns", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--host", "0.0.0.0", "--allow-anonymous");
    assert.match(gateway.run.stderr, /--allow-anonymous: everybody who reaches 0\.0\.0\.0 may follow every topic/);
    await (await Client.open(gateway.url)).end();
  });

  it("is taken with keys, without a warning", async () => {
    await using gateway = await Gateway.start("--workers", "1", "--host", "0.0.0.0", "--auth-secret-file", SECRET_FILE);
    assert.doesNotMatch(gateway.run.stderr, /anonymous/);
    await assert.rejects(Client.open(gateway.url), /did not open/);
  });
});
