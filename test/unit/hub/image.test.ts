import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { GatewayError } from "../../../src/errors.js";
import { Hub } from "../../../src/hub/hub.js";
import { FrameReader } from "../../../src/hub/wire.js";
import { TopicRules } from "../../../src/topics/rules.js";

const rule = { historyCount: 1000, historyBytes: 1e9, historySeconds: 60, stateKeys: 1000 } as const;
const rules = new TopicRules({ ...rule, slowReaders: "disconnect" }, "");
/** The worst for the length of a frame: everything escaped, or three bytes a character. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', "\\", "€", "\u{1f600}", "a"), maxLength: 300 }),
  fc.string(),
);
const key = fc.string({ unit: fc.constantFrom('"', "k", "€", "\\"), minLength: 1, maxLength: 20 });

it("whatever is published, the image of a topic fits into its frame, with the whole state and the newest history", () => {
  const publications = fc.array(fc.record({ key: fc.option(key, { nil: undefined }), text }), { maxLength: 120 });
  fc.assert(
    fc.property(publications, fc.integer({ min: 2000, max: 20_000 }), (list, frameBytes) => {
      const hub = new Hub(rules, 1e9, frameBytes);
      for (const { key: of, text: data } of list) {
        try {
          hub.publish("t", JSON.stringify(data), of);
        } catch (error) {
          assert.ok(error instanceof GatewayError && error.kind === "stateFull", String(error));
        }
      }
      const written: Buffer[] = [];
      hub.want({ write: (frame) => void written.push(frame) }, "t");
      const [image] = written.flatMap((frame) => [...new FrameReader().read(frame)]);
      assert.ok(written[0]!.length <= frameBytes, `${written[0]!.length} of ${frameBytes}`);
      assert.ok(image?.type === "standing");
      assert.deepEqual(image.state, hub.describe("t")!.state);
      const { offset } = image;
      assert.deepEqual(
        image.history.map(([at]) => at),
        image.history.map((_, n) => offset - image.history.length + 1 + n),
      );
    }),
  );
});

it("state that would not fit is refused by its size, with the remedy; deleting and plain publications go on", () => {
  const hub = new Hub(rules, 1e9, 4000);
  const data = JSON.stringify("x".repeat(300));
  hub.publish("t", data, "a");
  hub.publish("t", data, "b");
  hub.publish("t", data, "c");
  assert.throws(
    () => hub.publish("t", data, "d"),
    (error: GatewayError) => error.kind === "stateFull" && error.detail.includes("1000 characters"),
  );
  hub.publish("t", data);
  hub.publish("t", data, "a");
  hub.publish("t", "null", "a");
  hub.publish("t", data, "d");
  assert.deepEqual(
    hub.describe("t")!.state.map((entry) => entry.key),
    ["b", "c", "d"],
  );
});
