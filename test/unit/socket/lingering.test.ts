/** Connections that ended with a close frame and may still hold a descriptor; the kernel's list is a fake. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { Lingering } from "../../../src/socket/lingering.js";

it("counts every close as lingering until the kernel's list corrects it, which is read only near the cap and at most once a second", () => {
  let open = 20;
  let reads = 0;
  let now = 0;
  const lingering = new Lingering(
    () => {
      reads += 1;
      return open;
    },
    () => now,
  );
  assert.equal(reads, 1);
  for (let i = 0; i < 10; i++) lingering.add();
  assert.equal(lingering.count(50, 100), 10, "far from the cap the list is not read");
  assert.equal(reads, 1);
  open = 20 + 90 + 4;
  assert.equal(
    lingering.count(90, 100),
    4,
    "of 114 descriptors twenty are no connections, ninety are live, four linger",
  );
  for (let i = 0; i < 10; i++) lingering.add();
  assert.equal(lingering.count(90, 100), 14, "not read again within the second");
  now = 1000;
  open = 20 + 90;
  assert.equal(lingering.count(90, 100), 0);
  assert.equal(reads, 3);
  open = 500;
  lingering.add();
  now = 2000;
  assert.equal(lingering.count(99, 100), 1, "never more than ended with a close frame");
});
