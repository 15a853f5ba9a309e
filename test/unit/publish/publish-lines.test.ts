/** A stream of lines: published as it arrives, wherever the chunks are cut, until the first bad line, with bounded memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import fc from "fast-check";
import { PublishApi } from "../../../src/publish/api.js";
import { Lines } from "../../../src/publish/lines.js";
import { answer, FakeHub, MAX_DATA_BYTES, NDJSON, post } from "./fake-hub.js";

function setUp(): { hub: FakeHub; publish: (body: Parameters<typeof post>[0]) => ReturnType<typeof answer> } {
  const hub = new FakeHub();
  const api = new PublishApi(hub, MAX_DATA_BYTES);
  return { hub, publish: (body) => answer(api.publish(post(body, NDJSON))) };
}
const line = (data: unknown, more: object = {}): string => JSON.stringify({ topic: "a", data, ...more });

describe("a stream of lines", () => {
  it("gives the same result cut at any byte, with CRLF, blank lines, a byte order mark and no last line end", async () => {
    const text = Buffer.from(`\ufeff${line("ä😀")}\r\n\n  \n${line({ n: 2 })}\n${line("\u2028")}`);
    for (let at = 0; at <= text.length; at += 1) {
      const { hub, publish } = setUp();
      assert.deepEqual(await publish([text.subarray(0, at), text.subarray(at)].filter((part) => part.length > 0)), {
        kind: "ok",
        code: 0,
        published: 3,
        duplicates: 0,
      });
      assert.deepEqual(
        hub.published.map(({ data }) => JSON.parse(data) as unknown),
        ["ä😀", { n: 2 }, "\u2028"],
      );
    }
    const { hub, publish } = setUp();
    await publish(Array.from(text, (byte) => Buffer.of(byte)));
    assert.equal(hub.published.length, 3);
  });

  it("publishes nothing for an empty stream", async () => {
    assert.deepEqual(await setUp().publish("\n\n"), { kind: "ok", code: 0, published: 0, duplicates: 0 });
  });

  it("stops at the first bad line, and says which it is and how many were published before it", async () => {
    const bad = fc.constantFrom<[string, string, string]>(
      ["{", "badJson", "it is not JSON"],
      ["[]", "badJson", "it must be a JSON object"],
      [line("x".repeat(MAX_DATA_BYTES)), "publicationTooBig", "data has 202 bytes"],
      [line(1, { topic: "a b" }), "badTopic", "topic: "],
      [line("x".repeat(6000)), "publicationTooBig", "the line has more than 5296 bytes"],
      ["\u0000", "badJson", "it is not JSON"],
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(30), fc.nat(30), bad, fc.nat(), async (before, after, [text, kind, error], cut) => {
        const { hub, publish } = setUp();
        const good = Array.from({ length: before }, (_, n) => line(n));
        const bytes = Buffer.from([...good, text, ...Array<string>(after).fill(line("after"))].join("\n"));
        const at = cut % bytes.length;
        const refused = await publish([bytes.subarray(0, at), bytes.subarray(at)]);
        assert.deepEqual([refused.kind, refused.published], [kind, before]);
        assert.ok(String(refused.error).startsWith(`line ${before + 1}: ${error}`), String(refused.error));
        assert.equal(hub.published.length, before);
      }),
    );
  });

  it("refuses half a character as not UTF-8", async () => {
    const bytes = Buffer.from(line("ä"));
    const refused = await setUp().publish([Buffer.from(`${line(1)}\n`), bytes.subarray(0, bytes.indexOf(0xa4))]);
    assert.match(String(refused.error), /^line 2: it is not UTF-8/);
  });

  it("publishes a line before the next has arrived", async () => {
    const { hub, publish } = setUp();
    let release = (): void => undefined;
    const more = new Promise<void>((resolve) => {
      release = resolve;
    });
    const ended = publish(
      (async function* () {
        yield Buffer.from(`${line(1)}\n${line(2)}`);
        await more;
        yield Buffer.from("\n");
      })(),
    );
    while (hub.published.length === 0) await tick();
    assert.equal(hub.published.length, 1);
    release();
    assert.equal((await ended).published, 2);
  });

  it("reads no further while the hub applies backpressure", async () => {
    const { hub, publish } = setUp();
    let open = (): void => undefined;
    const drained = new Promise<void>((resolve) => {
      open = resolve;
    });
    hub.backpressure = () => (hub.published.length === 1 ? drained : undefined);
    let asked = 0;
    const ended = publish(
      (async function* () {
        for (let n = 0; n < 200; n += 1) {
          asked += 1;
          yield Buffer.from(`${line("x".repeat(150))}\n`);
          await tick();
        }
      })(),
    );
    while (hub.published.length === 0) await tick();
    for (let turn = 0; turn < 1000; turn += 1) await tick();
    assert.equal(hub.published.length, 1);
    // 16 KiB is what the stream itself reads ahead.
    assert.ok(asked < 200, `${asked} chunks were read`);
    open();
    assert.equal((await ended).published, 200);
  });

  it("answers a bad last line during backpressure too", async () => {
    const { hub, publish } = setUp();
    hub.backpressure = () => tick();
    assert.equal((await publish([Buffer.from(`${line(1)}\n{`)])).published, 1);
    assert.equal(hub.published.length, 1);
  });

  it("says how many were published when the hub fails in the middle", async () => {
    const { hub, publish } = setUp();
    hub.awayAfter = 2;
    const { kind, error, published } = await publish(`${line(1)}\n\n${line(2)}\n${line(3)}\n`);
    assert.deepEqual([kind, published], ["hubUnavailable", 2]);
    assert.match(String(error), /^line 4: the hub is away/);
  });

  it("rejects when the publisher goes away; complete lines are published", async () => {
    const hub = new FakeHub();
    const request = post(
      (async function* () {
        yield Buffer.from(`${line(1)}\n${line(2)}`);
        await tick();
        throw new Error("aborted");
      })(),
      NDJSON,
    );
    await assert.rejects(new PublishApi(hub, MAX_DATA_BYTES).publish(request), /aborted/);
    assert.equal(hub.published.length, 1);
  });
});

describe("lines", () => {
  it("are those of split, for any bytes in any chunks", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (chunks) => {
        const seen: string[] = [];
        const lines = new Lines(1000);
        for (const chunk of chunks) lines.feed(Buffer.from(chunk), (each) => seen.push(each.toString("latin1")));
        lines.end((each) => seen.push(each.toString("latin1")));
        const whole = Buffer.concat(chunks).toString("latin1").split("\n");
        if (whole.at(-1) === "") whole.pop();
        assert.deepEqual(seen, whole);
        assert.equal(lines.number, whole.length + 1);
      }),
    );
  });

  it("hold exactly the limit, and throw at one byte more before the line ends", () => {
    const lines = new Lines(10);
    lines.feed(Buffer.from("0123456789\n0123456789"), () => undefined);
    assert.throws(() => lines.feed(Buffer.from("x"), () => undefined), /more than 10 bytes/);
    assert.throws(() => new Lines(10).feed(Buffer.from("0123456789x\n"), () => undefined), /more than 10 bytes/);
  });
});
