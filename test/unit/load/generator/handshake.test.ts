/** An answer is accepted only when it matches the key that was sent. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AnswerCheck,
  acceptFor,
  INCOMPLETE,
  KeyPool,
  REFUSED,
  UpgradeRequest,
} from "../../../../load/generator/handshake.js";

const pool = new KeyPool(8);
const acceptOf = (index: number): string => pool.accepts.toString("latin1", index * 28, (index + 1) * 28);
const answer = (accept: string, fields = "Upgrade: websocket\r\nConnection: Upgrade"): string =>
  `HTTP/1.1 101 Switching Protocols\r\n${fields}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;

function check(text: string, index = 0, checker = new AnswerCheck(pool)): number | string {
  const bytes = Buffer.from(text, "latin1");
  const result = checker.check(bytes, bytes.length, index);
  return result === REFUSED ? checker.refusal : result;
}

describe("handshake", () => {
  it("knows the accept value of RFC 6455's own example", () => {
    assert.equal(acceptFor("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  it("sends the key of the pool it is asked for", () => {
    const request = new UpgradeRequest("h:1", "/ws?topics=load");
    const text = request.withKey(pool, 3).toString("latin1");
    const key = /^Sec-WebSocket-Key: (.+)\r$/m.exec(text)?.[1];
    assert.match(text, /^GET \/ws\?topics=load HTTP\/1\.1\r\nHost: h:1\r\n/);
    assert.match(text, /\r\n\r\n$/);
    assert.equal(acceptFor(key!), acceptOf(3));
  });

  it("returns where the frames begin", () => {
    const head = answer(acceptOf(1));
    assert.equal(check(`${head}frames`, 1), head.length);
  });

  it("takes names in any case and further connection options", () => {
    const fields = "UPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\nuWebSockets: 20";
    const head = answer(acceptOf(0), fields);
    assert.equal(check(head), head.length);
  });

  it("refuses the accept value of another key, also after a good answer of the same shape", () => {
    const checker = new AnswerCheck(pool);
    assert.equal(check(answer(acceptOf(1)), 2, checker), "bad_accept");
    assert.equal(check(answer(acceptOf(1)), 1, checker), answer(acceptOf(1)).length);
    assert.equal(check(answer(acceptOf(2)), 2, checker), answer(acceptOf(2)).length);
    assert.equal(check(answer(acceptOf(1)), 2, checker), "bad_accept");
    assert.equal(check(answer(acceptOf(4), "Upgrade: h2c\r\nConnection: Upgrade"), 4, checker), "bad_answer");
  });

  it("names the reason of a refusal", () => {
    const checker = new AnswerCheck(pool);
    assert.equal(check("HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\n\r\n", 0, checker), "http_503");
    assert.equal(checker.retryAfterMs, 7000);
    assert.equal(check("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 0, checker), "http_503");
    assert.equal(checker.retryAfterMs, 0, "the next answer had no Retry-After");
    assert.equal(check("HTTP/1.1 400 Bad Request\r\n\r\n"), "http_400");
    assert.equal(check("SSH-2.0-x\r\n\r\n"), "bad_answer");
    assert.equal(check(answer(acceptOf(0), "Upgrade: websocket")), "bad_answer");
    assert.equal(check("x".repeat(17_000)), "bad_answer");
  });

  it("waits for the rest of a head, wherever it was cut", () => {
    const checker = new AnswerCheck(pool);
    for (let i = 0; i < 2; i++) {
      const head = answer(acceptOf(i));
      for (let at = 0; at < head.length; at++) assert.equal(check(head.slice(0, at), i, checker), INCOMPLETE);
      assert.equal(check(head, i, checker), head.length);
    }
  });
});
