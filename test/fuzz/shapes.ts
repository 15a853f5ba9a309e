/** What attacks are made of: handshakes, frames and requests that are right, or wrong in a way that has a name. */
import { HANDSHAKE } from "../support/client.js";
import type { Random } from "./random.js";

export function handshake(random: Random): Buffer {
  const path = random.pick([
    "/ws",
    "/ws",
    "/ws?topics=fuzz",
    "/ws?topics=a,b@x.0:5",
    "/ws?topics=%00,a",
    "/ws?topics=",
    "/bcall/url",
    "/",
  ]);
  const more = random.pick([
    "",
    "Sec-WebSocket-Protocol: megagate.v1\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    `Cookie: ${"c".repeat(random.below(6000))}\r\n`,
    Array.from({ length: random.below(150) }, (_, i) => `X-${i}: ${i}\r\n`).join(""),
    `Content-Length: ${random.pick(["0", "5", "-1", "99999999999999999999", "x"])}\r\n`,
    "Transfer-Encoding: chunked\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
  ]);
  return Buffer.from(HANDSHAKE.replace("/ws", path).replace("Host:", `${more}Host:`));
}

const TEXTS: readonly ((random: Random) => string)[] = [
  () => "ping",
  () => '{"reqtype":"Heartbeat"}',
  (random) => JSON.stringify({ reqtype: "Subscribe", topic: `fuzz${random.below(1e6)}`, id: random.below(9) }),
  (random) =>
    JSON.stringify({ reqtype: "Subscribe", topic: "fuzz", since: { epoch: "x.0", offset: random.below(1e9) } }),
  () => JSON.stringify({ reqtype: "Query", action: "allfuzz" }),
  () => JSON.stringify({ reqtype: "Unsubscribe", topic: "fuzz" }),
  (random) =>
    JSON.stringify({
      reqtype: "Subscribe",
      topic: random.pick(["__proto__", "constructor", "", "a b", "\u0000", "x".repeat(500)]),
    }),
  (random) => "[".repeat(random.below(2000)),
  (random) => `{"reqtype":${"[".repeat(800)}${"]".repeat(800)},"id":${"9".repeat(random.below(400))}}`,
  (random) => "x".repeat(random.below(12_000)),
];

/** One client frame, mostly right. */
export function frameOf(random: Random): Buffer {
  const opcode = random.chance(0.7) ? 1 : random.below(16);
  const payload = random.chance(0.8) ? Buffer.from(random.pick(TEXTS)(random)) : random.bytes(random.below(200));
  const head = (random.chance(0.9) ? 0x80 : 0) | (random.chance(0.95) ? 0 : random.below(8) << 4) | opcode;
  return framed(head, payload, random.chance(0.95), random.chance(0.03) ? random.next() * 2 ** 53 : payload.length);
}

/** `length` is the value in the head, which may be wrong. A mask of zeros leaves the payload as it is. */
function framed(head: number, payload: Buffer, masked: boolean, length: number): Buffer {
  const mask = masked ? 0x80 : 0;
  const size = length < 126 ? Buffer.alloc(1) : length < 65_536 ? Buffer.alloc(3) : Buffer.alloc(9);
  if (size.length === 1) size[0] = length | mask;
  else if (size.length === 3) {
    size[0] = 126 | mask;
    size.writeUInt16BE(length, 1);
  } else {
    size[0] = 127 | mask;
    size.writeBigUInt64BE(BigInt(Math.floor(length)), 1);
  }
  return Buffer.concat([Buffer.of(head), size, Buffer.alloc(masked ? 4 : 0), payload]);
}

/** Many small frames of one kind: pings, pongs, subscriptions, empty fragments. */
export function flood(random: Random): Buffer {
  const count = 50 + random.below(400);
  const kind = random.below(4);
  const each = (i: number): Buffer => {
    if (kind === 0) return framed(0x89, Buffer.from("p"), true, 1);
    if (kind === 1) return framed(0x8a, Buffer.alloc(0), true, 0);
    if (kind === 2) return framed(i === 0 ? 0x01 : 0x00, Buffer.alloc(0), true, 0);
    const text = Buffer.from(JSON.stringify({ reqtype: "Subscribe", topic: `f${random.below(1e6)}` }));
    return framed(0x81, text, true, text.length);
  };
  return Buffer.concat(Array.from({ length: count }, (_, i) => each(i)));
}

const PUBLISH = "POST /publish HTTP/1.1\r\nHost: localhost\r\n";

/** A request to the admin port. */
export function adminRequest(random: Random): Buffer {
  const body = random.pick([
    '{"topic":"fuzz","data":1}',
    '[{"topic":"fuzz","data":1},{"topic":"fuzz","key":"k","data":null}]',
    '{"topic":"fuzz","data":1}\n{"topic":"fuzz","data":2,"id":"i"}\n',
    `{"topic":"fuzz","data":${"[".repeat(3000)}${"]".repeat(3000)}}`,
    "[".repeat(random.below(20_000)),
    `{"topic":"fuzz","data":"${"\\u0041".repeat(random.below(3000))}"}`,
    '{"topic":"fuzz","data":1e999,"key":"k"}',
    '{"__proto__":{"topic":"a"},"data":1}',
  ]);
  const type = random.pick(["application/json", "application/x-ndjson", "text/html", ""]);
  const head = `${PUBLISH}Content-Type: ${type}\r\n`;
  return Buffer.from(
    random.pick([
      `${head}Content-Length: ${body.length}\r\n\r\n${body}`,
      `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      `${head}Content-Length: ${body.length + random.below(1000)}\r\n\r\n${body}`,
      `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${body}`,
      `${head}Idempotency-Key: k\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      `GET /${random.pick(["metrics", "topics/fuzz", "topics/%", "topics/__proto__", "readyz", "processes", "slow-readers", ".."])} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ]),
  );
}
