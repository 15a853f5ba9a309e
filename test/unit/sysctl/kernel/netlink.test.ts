/** The netlink batch byte by byte where it matters, and answers read back. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { acknowledgements, trackingBatch } from "../../../../sysctl/kernel/netlink.js";

interface Header {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly bytes: Buffer;
}

function messages(batch: Buffer): Header[] {
  const found = [];
  for (let at = 0; at < batch.length; ) {
    const length = batch.readUInt32LE(at);
    const bytes = batch.subarray(at, at + length);
    found.push({ type: bytes.readUInt16LE(4), flags: bytes.readUInt16LE(6), sequence: bytes.readUInt32LE(8), bytes });
    at += length;
  }
  return found;
}

describe("the tracking batch", () => {
  it("is a table, a chain and a rule between the ends of a batch, each to be acknowledged", () => {
    const all = messages(trackingBatch("t", "c"));
    assert.deepEqual(
      all.map(({ type, flags, sequence }) => [type, flags, sequence]),
      [
        [0x10, 0x001, 0],
        [0xa00, 0x405, 1],
        [0xa03, 0x405, 2],
        [0xa06, 0xc05, 3],
        [0x11, 0x001, 4],
      ],
    );
    assert.ok(all.every(({ bytes }) => bytes.length % 4 === 0));
  });

  it("accepts in its chain, and its rule has one expression, which reads the state", () => {
    const [, , chain, rule] = messages(trackingBatch("t", "c"));
    // NFTA_CHAIN_POLICY (5) = NF_ACCEPT (1), and the hook: LOCAL_IN (1), priority 0.
    assert.ok(chain!.bytes.includes(Buffer.from("0800050000000001", "hex")));
    assert.ok(chain!.bytes.includes(Buffer.from("14000480" + "0800010000000001" + "0800020000000000", "hex")));
    // One list element: name "ct", data: register 1, key 0 (state).
    const expression = "20000180" + "0700010063740000" + "14000280" + "0800010000000001" + "0800020000000000";
    assert.equal(rule!.bytes.toString("hex").split("24000480")[1], expression);
  });
});

describe("acknowledgements", () => {
  const answer = (type: number, sequence: number, result: number): Buffer => {
    const bytes = Buffer.alloc(36);
    bytes.writeUInt32LE(36, 0);
    bytes.writeUInt16LE(type, 4);
    bytes.writeUInt32LE(sequence, 8);
    bytes.writeInt32LE(result, 16);
    return bytes;
  };

  it("reads several answers in one datagram, and skips what is none", () => {
    const datagram = Buffer.concat([answer(2, 1, 0), answer(3, 9, 0), answer(2, 3, -95)]);
    assert.deepEqual(acknowledgements(datagram), [
      { sequence: 1, result: 0 },
      { sequence: 3, result: -95 },
    ]);
  });

  it("ends at a message that is cut or says that it has no length", () => {
    assert.deepEqual(acknowledgements(Buffer.concat([answer(2, 1, 0), Buffer.alloc(24)])), [
      { sequence: 1, result: 0 },
    ]);
    assert.deepEqual(acknowledgements(answer(2, 1, 0).subarray(0, 10)), []);
  });
});
