/** Abuse of the admin port: slow, broken, endless or huge requests. Each gets its answer of the error table, and well-behaved publishers go on. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RawPeer } from "../support/client.js";
import { adminRefusedFor, GatewayUnderAttack } from "../support/gateway-under-attack.js";
import { until } from "../support/wait.js";

const POST = "POST /publish HTTP/1.1\r\nHost: localhost\r\n";
const MiB = 1_048_576;

describe("hostile publishers", () => {
  let attacked: GatewayUnderAttack;
  before(async () => {
    attacked = await GatewayUnderAttack.start(
      ...["--admin-connections", "60", "--admin-head-seconds", "2"],
      ...["--publish-body-seconds", "2", "--publish-buffer-bytes", "8MiB"],
    );
  });
  after(() => attacked.end());

  const answer = async (...pieces: (string | Buffer)[]): Promise<string> => {
    const peer = await RawPeer.connect(attacked.gateway.adminPort);
    for (const piece of pieces) peer.socket.write(piece);
    return await peer.untilEnd();
  };
  const post = async (body: string): Promise<[number, unknown]> => {
    const response = await attacked.gateway.admin("/publish", { method: "POST", body });
    return [response.status, await response.json()];
  };

  it("silent, and half a head: 408", async () => {
    const answers = await attacked.expectCounted(adminRefusedFor("too_slow"), 20, () =>
      Promise.all(Array.from({ length: 20 }, (_, i) => answer(i % 2 === 0 ? "" : "GET /metrics HTTP/1.1\r\nHos"))),
    );
    for (const each of answers) assert.match(each, /^HTTP\/1\.1 408 /);
  });

  it("half a body: 408 with its code; a stream of lines may be silent for longer", async () => {
    const peer = await RawPeer.connect(attacked.gateway.adminPort);
    peer.socket.write(`${POST}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const refused = await attacked.expectCounted("megagate_publish_refused_total", 10, () =>
      Promise.all(Array.from({ length: 10 }, () => answer(`${POST}Content-Length: 100\r\n\r\n{`))),
    );
    for (const each of refused)
      assert.match(each, /^HTTP\/1\.1 408 .*"code":4016,"error":"the body did not come in 2 s"/s);
    const line = '{"topic":"lines","data":1}\n';
    peer.socket.write(`${line.length.toString(16)}\r\n${line}\r\n0\r\n\r\n`);
    await until(
      "answer",
      () => peer.received,
      (text) => text.includes('"published":1'),
    );
    peer.socket.destroy();
  });

  it("garbage, bad chunks, two lengths: 400; a head too long: 431", async () => {
    const broken = [
      "NONSENSE\r\n\r\n",
      `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
      "\u0016\u0003\u0001\u0002\u0000\u0001",
    ];
    broken.push(
      `${POST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc`,
      `${POST}Content-Length: -1\r\n\r\n`,
    );
    const answers = await attacked.expectCounted(adminRefusedFor("malformed"), broken.length, () =>
      Promise.all(broken.map((bytes) => answer(bytes))),
    );
    for (const [i, each] of answers.entries()) assert.match(each, /^HTTP\/1\.1 400 /, broken[i]);
    const head = await attacked.expectCounted(adminRefusedFor("head_too_big"), 1, () =>
      answer(`${POST}X: ${"x".repeat(20_000)}`),
    );
    assert.match(head, /^HTTP\/1\.1 431 /);
  });

  it("more connections than allowed: 503, and accepted again when they have closed", async () => {
    const metric = adminRefusedFor("connections");
    const before = await attacked.gateway.metric(metric);
    const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(attacked.gateway.adminPort)));
    for (const { socket } of peers) socket.write("GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
    await until(
      "the rest is gone",
      () => peers.every(({ ended }) => ended),
      (gone) => gone,
    );
    const refused = peers.filter(({ received }) => received.startsWith("HTTP/1.1 503 ")).length;
    assert.ok(refused >= 40, `${refused} of 100 were refused`);
    await attacked.under(Promise.resolve(), { metric, by: refused, from: before, atLeast: true });
    assert.equal(await attacked.gateway.status("/readyz"), 200);
  });

  it("unfinished bodies beyond --publish-buffer-bytes: 503 at once, and none is held", async () => {
    const begun = `${POST}Content-Length: ${8 * MiB}\r\n\r\n[`;
    const answers = await attacked.expectCounted("megagate_publish_refused_total", 6, () =>
      Promise.all(Array.from({ length: 6 }, () => answer(begun, Buffer.alloc(3 * MiB, " ")))),
    );
    assert.ok(answers.filter((each) => /^HTTP\/1\.1 503 .*"code":4009/s.test(each)).length >= 4);
    assert.ok(answers.every((each) => /^HTTP\/1\.1 (503|408) /.test(each)));
    assert.equal((await post('{"topic":"after","data":1}'))[0], 200);
  });

  it("JSON bombs: refused, no matter how deep or how many", async () => {
    const deep = "[".repeat(MiB) + "]".repeat(MiB);
    const bombs: [string, number, number][] = [
      [deep, 413, 4007],
      ["[".repeat(2 * MiB), 413, 4007],
      [`[{"topic":"a","data":${deep}}]`, 413, 4007],
      [`[{"topic":"a","data":${"[".repeat(30_000)}${"]".repeat(30_000)}}]`, 400, 4001],
      [`[${`{"topic":"a","data":[${"[],".repeat(20_000)}0]},`.repeat(100)}0]`, 413, 4007],
      [`[${"0,".repeat(MiB)}0]`, 413, 4007],
      [`[${'{"topic":"a","data":1},'.repeat(10_000)}{"topic":"a","data":1}]`, 413, 4007],
      [`{"topic":"a","data":"${"\\u0000".repeat(12_000)}"}`, 413, 4007],
      [`{"topic":"a","data":1e999}`, 400, 4001],
      [`{"__proto__":{"topic":"a"},"topic":"a","data":1}`, 400, 4001],
      [`{"topic":"__proto__","data":{"__proto__":1}}`, 200, 0],
    ];
    for (const [body, status, code] of bombs) {
      const got = await attacked.under(post(body));
      assert.deepEqual([got[0], (got[1] as { code: number }).code], [status, code], body.slice(0, 40));
    }
  });

  it("an array of ten thousand of the longest messages is read, and refused for its bytes", async () => {
    const message = JSON.stringify({ topic: "t".repeat(128), data: "x".repeat(12_000) });
    const [status, body] = await attacked.under(post(`[${Array<string>(10_000).fill(message).join(",")}]`));
    assert.deepEqual([status, body], [413, { code: 4007, error: `the body has more than ${8 * MiB} bytes` }]);
  });
});
