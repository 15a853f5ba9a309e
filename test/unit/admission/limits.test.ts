/** The limits of the gateway, of a worker and of an address. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { addressKey, addressShare, ClientAddresses } from "../../../src/admission/addresses.js";
import { capOfSlot, ceilingOf, memoryCeiling } from "../../../src/admission/ceiling.js";
import { GatewayError } from "../../../src/errors.js";

const GB = 1e9;
const limits = { workers: 4, workerCap: 1000, maxConnections: 0, memoryFloorBytes: 0 };

it("the lowest limit holds and names itself", () => {
  assert.deepEqual(ceilingOf(limits, 8 * GB), { connections: 4000, reason: "full" });
  assert.deepEqual(ceilingOf({ ...limits, maxConnections: 4000 }, 8 * GB), { connections: 4000, reason: "full" });
  assert.deepEqual(ceilingOf({ ...limits, maxConnections: 3999 }, 8 * GB), {
    connections: 3999,
    reason: "total_limit",
  });
  const floor = { ...limits, maxConnections: 3999, memoryFloorBytes: 8 * GB - 6 * 12e6 - 5040 * 3000 };
  assert.deepEqual(ceilingOf(floor, 8 * GB), { connections: 3000, reason: "memory" });
  assert.equal(memoryCeiling(25.3 * GB, 0, 53), 4_888_888);
});

it("the workers' caps add up to the limit, whatever it is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 100, max: 1e7 }), (workers, connections) => {
      const ceiling = { connections, reason: "total_limit" } as const;
      const caps = Array.from({ length: workers }, (_, index) => capOfSlot(ceiling, workers, index));
      assert.equal(
        caps.reduce((sum, cap) => sum + cap),
        connections,
      );
      assert.ok(Math.max(...caps) - Math.min(...caps) <= 1);
    }),
  );
});

it("the workers' caps never exceed the limit together whichever slot a rolling restart leaves empty", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 30, max: 1e5 }),
      fc.nat(),
      (workers, connections, empty) => {
        const ceiling = { connections, reason: "total_limit" } as const;
        const caps = Array.from({ length: workers + 1 }, (_, slot) => capOfSlot(ceiling, workers, slot));
        caps.splice(empty % (workers + 1), 1);
        const sum = caps.reduce((all, cap) => all + cap);
        assert.ok(sum <= connections && sum >= connections - 1);
      },
    ),
  );
});

it("a limit lower than the number of workers is refused, with the remedy", () => {
  assert.throws(() => ceilingOf({ ...limits, maxConnections: 3 }, 8 * GB), /--max-connections: 4 workers/);
  assert.throws(
    () => ceilingOf({ ...limits, memoryFloorBytes: 9 * GB }, 8 * GB),
    (error) =>
      error instanceof GatewayError && error.kind === "config" && /0 switches the floor off/.test(error.detail),
  );
});

it("an address has no more connections than its limit, and no entry without connections", () => {
  const addresses = new ClientAddresses(2);
  const first = addresses.acquire("127.0.0.1");
  const second = addresses.acquire("127.0.0.1");
  assert.ok(first && second && addresses.acquire("127.0.0.2"));
  assert.equal(addresses.acquire("127.0.0.1"), undefined);
  assert.equal(addresses.size, 2);
  addresses.release(first);
  assert.ok(addresses.acquire("127.0.0.1"));
  addresses.release(first);
  addresses.release(second);
  assert.equal(addresses.size, 1);
});

it("addresses of one IPv6 /64 are one, of different ones are not, and IPv4 within IPv6 is IPv4", () => {
  for (const [address, key] of [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:201", "192.0.2.1"],
    ["0000:0000:0000:0000:0000:ffff:c000:0201", "192.0.2.1"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0db8:0000:0000:ffff:0000:0000:0001", "2001:db8:0:0::/64"],
    ["2001:db8:0:1::", "2001:db8:0:1::/64"],
    ["1::2:3:4:5:6", "1:0:0:2::/64"],
    ["::1", "0:0:0:0::/64"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4::/64"],
    ["nonsense:", "nonsense:"],
    ["", ""],
  ] as const) {
    assert.equal(addressKey(address), key, address);
  }
  const oneNetwork = new ClientAddresses(3);
  const admitted = Array.from({ length: 1000 }, (_, n) => oneNetwork.acquire(`2001:db8:1:2::${n.toString(16)}`));
  assert.deepEqual([admitted.filter(Boolean).length, oneNetwork.size], [3, 1]);
  const many = new ClientAddresses(1);
  const entries = Array.from({ length: 1000 }, (_, n) => many.acquire(`2001:db8:1:${n.toString(16)}::1`));
  assert.deepEqual([entries.filter(Boolean).length, many.size], [1000, 1000]);
  for (const entry of entries) many.release(entry!);
  assert.equal(many.size, 0);
  const mixed = new ClientAddresses(1);
  assert.ok(mixed.acquire("192.0.2.1"));
  assert.equal(mixed.acquire("::ffff:192.0.2.1"), undefined);
});

it("addresses that come and go while there is no hub are not kept for it", () => {
  const addresses = new ClientAddresses(9, true);
  const known = addresses.acquire("192.0.2.1")!;
  const stays = addresses.acquire("192.0.2.2")!;
  assert.equal(addresses.report(100).length, 2);
  for (let n = 0; n < 1000; n++) addresses.release(addresses.acquire(`2001:db8:1:${n.toString(16)}::1`)!);
  assert.equal(addresses.unreported, 0);
  addresses.release(known);
  // Back before the hub was told that it had gone, and gone again: it still must be told.
  addresses.release(addresses.acquire("192.0.2.1")!);
  assert.deepEqual(addresses.report(100), [["192.0.2.1", 0]]);
  addresses.relinked();
  addresses.release(stays);
  assert.deepEqual(addresses.report(100), [], "a new hub was never told of it");
});

it("the share of a worker in an address's limit is never less than the even share", () => {
  assert.equal(addressShare(7, 1), 7);
  assert.equal(addressShare(10, 2), 10, "few connections may all fall to one worker");
  assert.equal(addressShare(1000, 2), 612);
});
