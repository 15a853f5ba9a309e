/** What `megagate publish` refuses before it asks anybody. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { type PublishFlags, publish } from "../../../src/commands/publish.js";

const NOBODY = { adminUrl: "http://127.0.0.1:1", adminKeyFile: "" };

const REFUSED: [
  flags: Omit<PublishFlags, keyof typeof NOBODY>,
  topic: string | undefined,
  data: string | undefined,
  error: RegExp,
][] = [
  [{}, undefined, undefined, /name a topic/],
  [{ delete: true }, "t", undefined, /--delete needs a --key/],
  [{ delete: true, key: "k" }, "t", "1", /takes no data/],
  [{ delete: true, key: "k", raw: true }, "t", undefined, /--delete/],
  [{ raw: true }, "t", "1", /--raw reads messages from stdin/],
  [{ raw: true, key: "k" }, "t", "-", /bring their own key/],
];

describe("megagate publish", () => {
  it("prints nothing raw that could command the terminal, whatever answers", async () => {
    const text = '{"code":4000,"error":"\u001b]0;x\u0007\u009b2J\u202e\u2066\u2028"}';
    const shown = '{"code":4000,"error":"\\u001b]0;x\\u0007\\u009b2J\\u202e\\u2066\\u2028"}';
    for (const status of [200, 500]) {
      const server = createServer((_request, response) => response.writeHead(status).end(`${text}\n`));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const run = publish({ adminUrl, adminKeyFile: "" }, { topic: "t", data: "1", input: Readable.from([]) });
      if (status === 200) assert.equal(await run, shown);
      else await assert.rejects(run, { message: `the gateway refused: ${shown}` });
      server.closeAllConnections();
      server.close();
    }
  });

  for (const [flags, topic, data, error] of REFUSED) {
    it(`refuses ${JSON.stringify({ ...flags, topic, data })}`, async () => {
      const run = publish({ ...NOBODY, ...flags }, { topic, data, input: Readable.from([]) });
      await assert.rejects(run, { kind: "usage", message: error });
    });
  }

  it("asks for - where a person would be left typing", async () => {
    const input = Object.assign(Readable.from([]), { isTTY: true });
    const run = publish(NOBODY, { topic: "t", data: undefined, input });
    await assert.rejects(run, { kind: "usage", message: /or - to type lines/ });
  });
});
