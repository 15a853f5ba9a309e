import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { encode, encodeNew, type Frame, FrameReader, MAX_FRAME_BYTES, type WireEntry } from "../../../src/hub/wire.js";

const topic = fc.stringMatching(/^[A-Za-z0-9_-]{1,60}(:[A-Za-z0-9_-]{1,60})?$/);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant("hello" as const),
    version: fc.nat(9),
    worker: fc.nat(4096),
    pid: fc.nat(),
    token: fc.string(),
  }),
  fc.record({ type: fc.constant("follow" as const), topic, request: fc.nat(), epoch: fc.string(), offset: fc.nat() }),
  fc.record({ type: fc.constantFrom("unfollow" as const), topic }),
  fc.record({ type: fc.constantFrom("compare" as const, "unserved" as const), topics: fc.array(topic) }),
  fc.record({ type: fc.constant("followRefused" as const), topic, request: fc.nat() }),
  fc.record(
    {
      type: fc.constant("topicSync" as const),
      topic,
      request: fc.nat(),
      epoch: fc.string(),
      offset: fc.maxSafeNat(),
      history: fc.constant([
        [1, 2, "push"],
        [2, 3, "push", "key"],
      ] as WireEntry[]),
      state: fc.constant([{ key: "k", data: "1" }]),
    },
    { noNullPrototype: true },
  ),
  fc.constantFrom<Frame>({ type: "relinked" }, { type: "welcome" }, { type: "refused", reason: "another version" }),
  fc.record({ type: fc.constant("counters" as const), values: fc.float64Array({ maxLength: 60, noNaN: true }) }),
  fc.record({
    type: fc.constant("publication" as const),
    topic,
    offset: fc.nat(2 ** 47),
    key: fc.option(fc.string({ unit: "grapheme", maxLength: 256 }), { nil: undefined }),
    push: fc.uint8Array({ maxLength: 500 }),
  }),
);

/** Comparable: typed arrays as lists, and without the null prototypes that fast-check makes. */
function plain(each: Frame): unknown {
  if (each.type === "publication") return { ...each, key: each.key ?? null, push: [...each.push] };
  return each.type === "counters" ? { ...each, values: [...each.values] } : { ...each };
}

it("every frame comes back as it was, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 20 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 90 })),
      (frames, cuts) => {
        let stream = Buffer.concat(frames.map(encode));
        const reader = new FrameReader();
        const read: unknown[] = [];
        while (stream.length > 0) {
          const size = cuts.next().value as number;
          for (const each of reader.read(stream.subarray(0, size))) read.push(plain(each));
          stream = stream.subarray(size);
        }
        assert.deepEqual(read, frames.map(plain));
      },
    ),
  );
});

it("frames much larger than a chunk are put together in linear time, wherever the cuts are", () => {
  const size = fc.integer({ min: 1, max: 200_000 });
  fc.assert(
    fc.property(fc.array(fc.nat(3_000_000), { maxLength: 4 }), fc.array(size, { minLength: 1 }), (pushes, cuts) => {
      const stream = Buffer.concat(
        pushes.map((bytes, offset) =>
          encode({ type: "publication", topic: "t", offset, push: Buffer.alloc(bytes, offset) }),
        ),
      );
      const reader = new FrameReader();
      const read: Frame[] = [];
      for (let at = 0, n = 0; at < stream.length; n++) {
        const end = at + cuts[n % cuts.length]! + (n < 2000 ? 0 : 60_000);
        read.push(...reader.read(stream.subarray(at, end)));
        at = end;
      }
      assert.deepEqual(
        read.map((each) => each.type === "publication" && [each.offset, each.push.length, each.push.at(-1)]),
        pushes.map((bytes, offset) => [offset, bytes, bytes === 0 ? undefined : offset]),
      );
    }),
    { numRuns: 30 },
  );
  const large = encode({ type: "publication", topic: "t", offset: 1, push: Buffer.alloc(MAX_FRAME_BYTES - 100) });
  const reader = new FrameReader();
  const startedMs = performance.now();
  let frames = 0;
  for (let at = 0; at < large.length; at += 4096) frames += [...reader.read(large.subarray(at, at + 4096))].length;
  assert.equal(frames, 1);
  // It took half a minute with chunks of 64 KiB, minutes with 4 KiB, while each was joined to all before it. Now under 0.1 s.
  assert.ok(performance.now() - startedMs < 10_000);
});

it("bytes that cannot be a frame throw at once, instead of waiting for more", () => {
  const bad = (bytes: number[]): Frame[] => [...new FrameReader().read(Buffer.from(bytes))];
  assert.throws(() => bad([0, 0, 0, 0]), RangeError);
  assert.throws(() => bad([255, 255, 255, 255, 1]), RangeError);
  assert.throws(() => bad([1, 0, 0, 0, 99]), RangeError);
  assert.throws(() => bad([3, 0, 0, 0, 0, 1, 2]), SyntaxError);
  assert.ok(MAX_FRAME_BYTES < 2 ** 31);
});

it("encodeNew makes the same frame as encode, and a push that is the JSON for clients", () => {
  const key = fc.option(fc.string({ unit: "grapheme", maxLength: 64 }), { nil: undefined });
  fc.assert(
    fc.property(topic, fc.nat(2 ** 47), key, fc.jsonValue(), (name, offset, of, value) => {
      const data = JSON.stringify(value);
      const { frame: bytes, push } = encodeNew({ topic: name, offset, key: of, data });
      assert.deepEqual(bytes, encode({ type: "publication", topic: name, offset, key: of, push }));
      const expected = { topic: name, offset, ...(of !== undefined && { key: of }), data: JSON.parse(data) as unknown };
      assert.deepEqual(JSON.parse(push.toString()), expected);
    }),
  );
});
