import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../../../../src/hub/wal/bytes.js";
import { readRecords, readTypes, type WalRecord, writeRecord } from "../../../../src/hub/wal/records.js";

const topic = fc.stringMatching(/^[A-Za-z0-9_-]{1,60}(:[A-Za-z0-9_-]{1,60})?$/);
const offset = fc.nat({ max: 2 ** 47 });
const text = fc.string({ unit: "grapheme", maxLength: 60 });
const push = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const key = fc.option(text, { nil: undefined });
const atMs = fc.double({ noNaN: true });
const record: fc.Arbitrary<WalRecord> = fc.oneof(
  fc.record({
    type: fc.constant("session" as const),
    session: fc.constant({
      sequence: 3,
      generation: "g-1",
      boot: "b",
      inode: "7",
      monotonicMs: 1.5,
      wallMs: 9,
      epochCount: 2,
    }),
  }),
  fc.record(
    {
      type: fc.constant("publication" as const),
      epoch: offset,
      publication: fc.record({ topic, offset, key, push }),
      id: fc.string({ unit: "grapheme", minLength: 1 }),
    },
    { requiredKeys: ["type", "epoch", "publication"] },
  ),
  fc.record({
    type: fc.constant("image" as const),
    image: fc.record({
      topic,
      epoch: offset,
      offset,
      history: fc.array(fc.record({ offset, atMs, key, push }), { maxLength: 5 }),
      state: fc.array(fc.record({ key: text, data: text }), { maxLength: 5 }),
    }),
  }),
  fc.record({ type: fc.constant("forget" as const), topic }),
  fc.record({
    type: fc.constant("ids" as const),
    ids: fc.array(fc.record({ name: text, epoch: text, offset, atMs }), { maxLength: 5 }),
  }),
  fc.constantFrom<WalRecord>({ type: "mark" }, { type: "clean" }),
);

/** Without the null prototypes that fast-check makes. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, each: unknown) => (Object.is(each, -0) ? "-0" : each))) as unknown;

it("every record is decoded as it was encoded, and its type without decoding the rest", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 10 }), (records) => {
      const out = new ByteWriter();
      for (const each of records) writeRecord(out, each);
      assert.deepEqual(plain([...readRecords(out.written)]), plain(records));
      assert.deepEqual(
        [...readTypes(out.written)],
        records.map(({ type }) => type),
      );
    }),
  );
});

it("damaged bytes throw, and are never read beyond their end", () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), fc.nat(), fc.nat(255), (records, at, byte) => {
      const out = new ByteWriter();
      for (const each of records) writeRecord(out, each);
      const bytes = Buffer.from(out.written);
      bytes[at % bytes.length] = byte;
      try {
        for (const each of readRecords(bytes)) assert.ok(each.type.length > 0);
      } catch (error) {
        assert.ok(error instanceof RangeError || error instanceof SyntaxError, String(error));
      }
    }),
  );
});
