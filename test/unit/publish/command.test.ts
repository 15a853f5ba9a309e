/** What `megagate publish` refuses before it asks anybody. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { type PublishFlags, publish } from "../../../src/publish/command.js";

const REFUSED: [flags: Partial<PublishFlags>, topic: string | undefined, data: string | undefined, error: RegExp][] = [
  [{}, undefined, undefined, /name a topic/],
  [{ delete: true }, "t", undefined, /--delete needs a --key/],
  [{ delete: true, key: "k" }, "t", "1", /takes no data/],
  [{ delete: true, key: "k", raw: true }, "t", undefined, /--delete/],
  [{ raw: true }, "t", "1", /--raw reads messages from stdin/],
  [{ raw: true, key: "k" }, "t", "-", /bring their own key/],
];

describe("megagate publish", () => {
  for (const [flags, topic, data, error] of REFUSED) {
    it(`refuses ${JSON.stringify({ ...flags, topic, data })}`, async () => {
      const run = publish({ adminUrl: "http://127.0.0.1:1", ...flags }, { topic, data, input: Readable.from([]) });
      await assert.rejects(run, { kind: "usage", message: error });
    });
  }

  it("asks for - where a person would be left typing", async () => {
    const input = Object.assign(Readable.from([]), { isTTY: true });
    const run = publish({ adminUrl: "http://127.0.0.1:1" }, { topic: "t", data: undefined, input });
    await assert.rejects(run, { kind: "usage", message: /or - to type lines/ });
  });
});
