/** What processes share is read from a made-up /proc. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, it } from "node:test";
import { nofileLimit, refuseForeignProc, sharedLimits } from "../../../src/supervision/rlimits.js";

const root = `${mkdtempSync(join(tmpdir(), "megagate-limits-"))}/`;
after(() => rmSync(root, { recursive: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(root + path), { recursive: true });
  writeFileSync(root + path, content);
}

it("open files are bounded for those who may not open beyond fs.file-max", () => {
  write("proc/sys/fs/epoll/max_user_watches", "5491533\n");
  write("proc/sys/fs/file-max", "9223372036854775807\n");
  write("proc/sys/fs/file-nr", "1200\t0\t9223372036854775807\n");
  write("proc/self/status", "Name:\tnode\nCapEff:\t0000000000000000\n");
  assert.ok(sharedLimits(root).filesLeft > 9e18);
  write("proc/sys/fs/file-max", "50000\n");
  assert.deepEqual(sharedLimits(root), { epollWatches: 5_491_533, filesLeft: 48_800 });
  write("proc/self/status", "CapEff:\t000001ffffffffff\n");
  assert.equal(sharedLimits(root).filesLeft, Number.POSITIVE_INFINITY);
});

it("the descriptor limit is known also where /proc is of another PID namespace, without this process in it", () => {
  const limit = nofileLimit();
  assert.ok(limit.soft > 0 && limit.hard >= limit.soft);
  assert.deepEqual(nofileLimit("/proc/nowhere/limits"), limit);
  refuseForeignProc();
  assert.throws(() => refuseForeignProc("/proc/nowhere/fd"), /another PID namespace\. Remedy: mount this one's/);
});

it("a limit that this kernel does not show bounds nothing", () => {
  const none = { epollWatches: Number.POSITIVE_INFINITY, filesLeft: Number.POSITIVE_INFINITY };
  assert.deepEqual(sharedLimits(`${root}nothing/`), none);
});
