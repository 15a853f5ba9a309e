import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { fullestWorker, spread, tightestCap, workerCap, workersFor } from "../../../src/config/capacity.js";

it("a million connections under 20,000 descriptors need 53 workers, as fact 1 of src/README.md has it", () => {
  assert.equal(workersFor(1_000_000, 2, 20_000), 53);
});

it("where descriptors are plenty, there is one worker a core", () => {
  assert.equal(workersFor(1_000_000, 8, 1_048_576), 8);
  assert.equal(workersFor(1, 4, 1024), 4);
});

it("the fullest worker always fits, and one worker fewer would not do", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3_000_000 }),
      fc.integer({ min: 1024, max: 2_000_000 }),
      (connections, nofile) => {
        const workers = workersFor(connections, 1, nofile);
        assert.ok(fullestWorker(connections, workers) <= workerCap(nofile));
        if (workers > 1) assert.ok(fullestWorker(connections, workers - 1) > workerCap(nofile));
      },
    ),
    { numRuns: 200 },
  );
});

it("spread loses no remainder", () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 500 }), (total, parts) => {
      const shares = spread(total, parts);
      assert.equal(shares.length, parts);
      assert.equal(
        shares.reduce((a, b) => a + b, 0),
        total,
      );
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }),
  );
});

const PLENTY = { epollWatches: Number.POSITIVE_INFINITY, filesLeft: Number.POSITIVE_INFINITY };

it("a worker's cap is that of the tightest limit, and names it", () => {
  assert.deepEqual(tightestCap(4, 20_000, PLENTY), { connections: 19_900, limit: "descriptors" });
  assert.equal(tightestCap(4, 20_000, { ...PLENTY, epollWatches: 30_000 }).limit, "epoll-watches");
  assert.equal(tightestCap(4, 20_000, { epollWatches: 30_000, filesLeft: 20_000 }).limit, "file-max");
  assert.ok(tightestCap(4, 20_000, { ...PLENTY, epollWatches: 100 }).connections < 1);
});

it("all workers at their cap, the 503s beyond it and their own watches and files stay below what they share", () => {
  const shared = fc.record({
    epollWatches: fc.integer({ min: 10_000, max: 6_000_000 }),
    filesLeft: fc.integer({ min: 10_000, max: 6_000_000 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1024, max: 1_000_000 }),
      shared,
      (workers, nofile, s) => {
        const { connections } = tightestCap(workers, nofile, s);
        if (connections < 1) return;
        const max = workers * (connections + 40);
        assert.ok(max + workers * 9 < s.epollWatches && max + workers * 24 < s.filesLeft);
      },
    ),
  );
});
