import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../src/errors.js";
import { encode } from "../../../src/hub/wire.js";
import { TopicRules } from "../../../src/topics/rules.js";
import { FakePeer, follow, makeHub } from "../../support/hub.js";

const rule = { historyCount: 1000, historyBytes: 1e9, historySeconds: 60, stateKeys: 1000 } as const;
const rules = new TopicRules({ ...rule, slowReaders: "disconnect" }, "");
/** The worst for the length of a frame: every character is escaped, or takes three bytes. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', "\\", "€", "\u{1f600}", "a"), maxLength: 300 }),
  fc.string(),
);
const key = fc.string({ unit: fc.constantFrom('"', "k", "€", "\\"), minLength: 1, maxLength: 20 });

it("whatever is published, the image of a topic fits into its frame, with the whole state and the newest history", () => {
  const publications = fc.array(fc.record({ key: fc.option(key, { nil: undefined }), text }), { maxLength: 120 });
  fc.assert(
    fc.property(publications, fc.integer({ min: 2000, max: 20_000 }), (list, frameBytes) => {
      const hub = makeHub({ rules, frameBytes });
      for (const { key: of, text: data } of list) {
        try {
          hub.publish({ topic: "t", data: JSON.stringify(data), key: of });
        } catch (error) {
          assert.ok(error instanceof GatewayError && error.kind === "stateFull", String(error));
        }
      }
      const peer = new FakePeer();
      hub.follow(peer, follow("t"));
      const [image] = peer.frames;
      assert.ok(image?.type === "topicSync");
      assert.ok(encode(image).length <= frameBytes, `${encode(image).length} of ${frameBytes}`);
      assert.deepEqual(image.state, hub.describe("t")?.state ?? []);
      const { offset } = image;
      assert.deepEqual(
        image.history.map(([at]) => at),
        image.history.map((_, n) => offset - image.history.length + 1 + n),
      );
    }),
  );
});

it("state that would not fit is refused by its size, with the remedy; deleting and plain publications go on", () => {
  const hub = makeHub({ rules, frameBytes: 4000 });
  const data = JSON.stringify("x".repeat(300));
  for (const of of ["a", "b", "c"]) hub.publish({ topic: "t", data, key: of });
  assert.throws(
    () => hub.publish({ topic: "t", data, key: "d" }),
    (error: GatewayError) => error.kind === "stateFull" && error.detail.includes("1000 characters"),
  );
  hub.publish({ topic: "t", data });
  hub.publish({ topic: "t", data, key: "a" });
  hub.publish({ topic: "t", data: "null", key: "a" });
  hub.publish({ topic: "t", data, key: "d" });
  assert.deepEqual(
    hub.describe("t")!.state.map((entry) => entry.key),
    ["b", "c", "d"],
  );
});
