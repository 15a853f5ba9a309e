/** Frames survive any split of the stream; a violation of RFC 6455 is named. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { clientFrame, closeCode, closeFrame, FrameDecoder, OPCODE } from "../../../../load/generator/frames.js";

type Decoded = readonly [kind: string, payload: string];

/** A server frame: like a client's, but unmasked. */
function serverFrame(opcode: number, payload: Buffer, final = true): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = (final ? 0x80 : 0) | opcode;
  head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

function decode(chunks: readonly Buffer[], fd = 5): Decoded[] {
  const decoded: Decoded[] = [];
  const decoder = new FrameDecoder({
    text: (_fd, bytes, from, to) => decoded.push(["text", bytes.toString("latin1", from, to)]) > 0,
    control: (_fd, opcode, bytes, from, to) =>
      decoded.push([`control ${opcode}`, bytes.toString("latin1", from, to)]) > 0,
    violation: (_fd, why) => decoded.push(["violation", why]),
  });
  // Bytes around the chunk are rubbish: only [from, to) may be read.
  for (const chunk of chunks) {
    const padded = Buffer.concat([Buffer.from([255, 255]), chunk, Buffer.from([255, 255])]);
    decoder.feed(fd, padded, 2, 2 + chunk.length);
  }
  return decoded;
}

const text = (payload: string, final = true): Buffer => serverFrame(OPCODE.text, Buffer.from(payload, "latin1"), final);
const more = (payload: string, final: boolean): Buffer =>
  serverFrame(OPCODE.continuation, Buffer.from(payload, "latin1"), final);

describe("frames", () => {
  it("decodes the same, split at every byte", () => {
    const stream = Buffer.concat([
      text("one"),
      text("fra", false),
      serverFrame(OPCODE.ping, Buffer.from("!")),
      more("gmen", false),
      more("ted", true),
      text("x".repeat(300)),
      closeFrameOfServer(1012),
    ]);
    const whole = decode([stream]);
    assert.deepEqual(
      whole.map(([kind]) => kind),
      ["text", "control 9", "text", "text", "control 8"],
    );
    assert.equal(whole[2]?.[1], "fragmented");
    for (let at = 1; at < stream.length; at++) {
      assert.deepEqual(decode([stream.subarray(0, at), stream.subarray(at)]), whole, `split at ${at}`);
    }
    assert.deepEqual(decode([...stream].map((byte) => Buffer.from([byte]))), whole, "byte by byte");
  });

  it("decodes any messages in any pieces", () => {
    const messages = fc.array(
      fc.nat(70_000).map((length) => "x".repeat(length)),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (sent, sizes) => {
        const stream = Buffer.concat(sent.map((payload) => text(payload)));
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length]!;
          chunks.push(stream.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(
          decode(chunks),
          sent.map((payload) => ["text", payload]),
        );
      }),
      { numRuns: 50 },
    );
  });

  it("keeps the rests of different sockets apart", () => {
    const decoded: string[] = [];
    const decoder = new FrameDecoder({
      text: (fd, bytes, from, to) => decoded.push(`${fd} ${bytes.toString("latin1", from, to)}`) > 0,
      control: () => true,
      violation: (_fd, why) => assert.fail(why),
    });
    const [a, b] = [text("aaaa"), text("bbbb")];
    decoder.feed(1, a, 0, 3);
    decoder.feed(2, b, 0, 4);
    decoder.feed(1, a, 3, a.length);
    decoder.feed(2, b, 4, b.length);
    assert.deepEqual(decoded, ["1 aaaa", "2 bbbb"]);
  });

  it("stops when the socket has ended, and forgets it", () => {
    let decoded = 0;
    const decoder: FrameDecoder = new FrameDecoder({
      text: (fd) => {
        decoded++;
        decoder.forget(fd);
        return false;
      },
      control: () => true,
      violation: () => undefined,
    });
    const stream = Buffer.concat([text("a"), text("b")]);
    decoder.feed(3, stream, 0, stream.length);
    assert.equal(decoded, 1);
  });

  it("names each violation of the protocol", () => {
    const fault = (bytes: Buffer): string | undefined => decode([bytes]).find(([kind]) => kind === "violation")?.[1];
    assert.equal(fault(Buffer.from([0xc1, 0])), "reserved bits set");
    assert.equal(fault(Buffer.from([0x83, 0])), "opcode 3");
    assert.equal(fault(clientFrame(OPCODE.text, Buffer.from("masked"))), "masked frame from the server");
    assert.equal(fault(Buffer.from([0x09, 0])), "long or fragmented control frame");
    assert.equal(fault(more("lone", true)), "fragments out of order");
    assert.equal(fault(Buffer.concat([text("a", false), text("b")])), "fragments out of order");
    assert.equal(fault(serverFrame(OPCODE.binary, Buffer.from("b"))), "binary message");
    assert.match(fault(Buffer.from([0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0])) ?? "", /^frame of \d+ bytes$/);
  });

  it("masks what it sends, so that unmasking gives it back", () => {
    fc.assert(
      fc.property(fc.nat(70_000), fc.nat(255), (length, seed) => {
        const payload = Uint8Array.from({ length }, (_, i) => (i * 31 + seed) & 255);
        const frame = clientFrame(OPCODE.text, payload);
        const extended = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
        assert.equal(frame[0], 0x81);
        assert(frame[1]! >= 0x80);
        const mask = frame.subarray(2 + extended, 6 + extended);
        const unmasked = frame.subarray(6 + extended).map((byte, i) => byte ^ mask[i & 3]!);
        assert.deepEqual(Buffer.from(unmasked), Buffer.from(payload));
      }),
      { numRuns: 50 },
    );
  });

  it("reads a close frame's status, or 1005 without one", () => {
    const payload = Buffer.from([3, 232]);
    assert.equal(closeCode(payload, 0, 2), 1000);
    assert.equal(closeCode(payload, 0, 0), 1005);
    assert.equal(closeFrame(1000).length, 8);
  });
});

function closeFrameOfServer(status: number): Buffer {
  return serverFrame(OPCODE.close, Buffer.from([status >> 8, status & 255]));
}
