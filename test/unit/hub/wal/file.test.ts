/** One file of the log: whole blocks come back, a torn end is cut off, and damage is told apart from it. */
import assert from "node:assert/strict";
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../../../../src/hub/wal/bytes.js";
import { BLOCK_HEAD_BYTES, beginBlock, LogFile, NotALog, sealBlock } from "../../../../src/hub/wal/file.js";

const HEAD_BYTES = 16;

function block(body: Uint8Array, atMs = 1): Buffer {
  const out = new ByteWriter();
  beginBlock(out);
  out.raw(body);
  return Buffer.from(sealBlock(out, atMs));
}

interface Read {
  readonly bodies: string[];
  readonly times: number[];
  readonly isDamaged: boolean;
}

function read(file: LogFile): Read {
  const bodies: string[] = [];
  const times: number[] = [];
  const blocks = file.blocks();
  for (let next = blocks.next(); ; next = blocks.next()) {
    if (next.done) return { bodies, times, isDamaged: next.value };
    bodies.push(next.value.body.toString("hex"));
    times.push(next.value.atMs);
  }
}

/** A file on disk; `reopen` is a new hub with the same descriptor. */
class TestFile implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "megagate-log-file-"));
  readonly fd = openSync(join(this.#dir, "log"), "w+");

  reopen(): LogFile {
    return new LogFile(this.fd, "disk");
  }

  get bytes(): number {
    return fstatSync(this.fd).size;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    rmSync(this.#dir, { recursive: true });
  }
}

describe("a file of the log", () => {
  it("gives back every block with its time, whatever the bodies are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ body: fc.uint8Array({ maxLength: 200 }), atMs: fc.double({ noNaN: true }) })),
        (blocks) => {
          using test = new TestFile();
          const file = test.reopen();
          for (const { body, atMs } of blocks) file.append(block(body, atMs));
          const { bodies, times, isDamaged } = read(test.reopen());
          assert.deepEqual(
            bodies,
            blocks.map(({ body }) => Buffer.from(body).toString("hex")),
          );
          assert.deepEqual(
            times,
            blocks.map(({ atMs }) => atMs),
          );
          assert.equal(isDamaged, false);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("reads a block that is larger than its window, between small ones", () => {
    using test = new TestFile();
    const file = test.reopen();
    const lengths = [1, 5_000_000, 2];
    for (const length of lengths) file.append(block(Buffer.alloc(length, 7)));
    assert.deepEqual(
      [...test.reopen().blocks()].map(({ body }) => body.length),
      lengths,
    );
  });

  it("ends at the last whole block, wherever the last one is torn, and the next append replaces the rest", () => {
    const [first, second] = [block(Buffer.from("first")), block(Buffer.from("second, which is torn"))];
    for (let cut = 1; cut < second.length; cut++) {
      using test = new TestFile();
      const file = test.reopen();
      file.append(first);
      file.append(second);
      ftruncateSync(test.fd, HEAD_BYTES + first.length + cut);
      const next = test.reopen();
      assert.deepEqual(read(next), { bodies: [Buffer.from("first").toString("hex")], times: [1], isDamaged: false });
      assert.equal(next.size, HEAD_BYTES + first.length);
      next.append(first);
      assert.equal(test.bytes, HEAD_BYTES + 2 * first.length);
      assert.equal(read(test.reopen()).bodies.length, 2);
    }
  });

  it("reports damage if more than a torn last block is wrong", () => {
    const one = block(Buffer.from("one"));
    using test = new TestFile();
    const file = test.reopen();
    for (let n = 0; n < 3; n++) file.append(one);
    writeSync(test.fd, "x", HEAD_BYTES + one.length + BLOCK_HEAD_BYTES);
    assert.deepEqual([read(test.reopen()).bodies.length, read(test.reopen()).isDamaged], [1, true]);
    // Damage in the last block looks like a torn one: nothing of it was visible outside, or the disk lied.
    writeSync(test.fd, one, 0, one.length, HEAD_BYTES + one.length);
    writeSync(test.fd, "x", HEAD_BYTES + 2 * one.length + BLOCK_HEAD_BYTES);
    assert.deepEqual([read(test.reopen()).bodies.length, read(test.reopen()).isDamaged], [2, false]);
  });

  it("takes zeros after the last block for space that a crash left, and any other bytes for damage", () => {
    for (const [tail, isDamaged] of [
      [Buffer.alloc(4096), false],
      [Buffer.from("something else, longer than the head of a block"), true],
    ] as const) {
      using test = new TestFile();
      const file = test.reopen();
      file.append(block(Buffer.from("one")));
      writeSync(test.fd, tail, 0, tail.length, file.size);
      const result = read(test.reopen());
      assert.deepEqual([result.bodies.length, result.isDamaged], [1, isDamaged]);
    }
  });

  it("is marked incomplete and complete again, without a change of its size; an empty file is neither", () => {
    using test = new TestFile();
    const file = test.reopen();
    file.markStale(true);
    assert.equal(test.bytes, 0);
    file.append(block(Buffer.from("one")));
    const { bytes } = test;
    for (const isStale of [true, false]) {
      file.markStale(isStale);
      assert.deepEqual([test.reopen().isStale(), test.bytes], [isStale, bytes]);
    }
    file.empty();
    assert.deepEqual([test.bytes, file.size, read(test.reopen()).bodies], [0, 0, []]);
  });

  it("refuses a file of another program, and leaves it as it is", () => {
    using test = new TestFile();
    writeSync(test.fd, "#!/bin/sh\necho hello\n");
    const { bytes } = test;
    assert.throws(() => read(test.reopen()), NotALog);
    assert.equal(test.bytes, bytes);
  });

  it("has another inode than its copy", () => {
    using test = new TestFile();
    using copy = new TestFile();
    assert.equal(test.reopen().inode, test.reopen().inode);
    assert.notEqual(test.reopen().inode, copy.reopen().inode);
  });

  it("returns the reason if it cannot be synced", async () => {
    using test = new TestFile();
    const synced = (file: LogFile): Promise<Error | null> => new Promise((resolve) => file.sync(resolve));
    assert.equal(await synced(test.reopen()), null);
    assert.equal(await synced(new LogFile(-1, "memory")), null, "a memory file needs no sync");
    const closed = openSync("/dev/null", "r");
    closeSync(closed);
    assert.match(String(await synced(new LogFile(closed, "disk"))), /EBADF|EINVAL/);
  });
});
