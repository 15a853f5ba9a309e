import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { GatewayError } from "../../../src/errors.js";
import { Bodies, type OpenBody } from "../../../src/publish/bodies.js";
import { until } from "../../support/wait.js";

it("bytes are counted over all bodies up to the limit, and released when a body closes", () => {
  const step = fc.record({ body: fc.nat(4), bytes: fc.nat(60), close: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const bodies = new Bodies({ bytes: 100, seconds: 60 });
      const open = new Map<number, OpenBody>();
      for (const { body, bytes, close } of steps) {
        const one = open.get(body) ?? bodies.begin();
        open.set(body, one);
        const fits = bodies.bytes + bytes <= 100;
        let refused = false;
        try {
          one.add(bytes);
        } catch (error) {
          assert.equal((error as GatewayError).kind, "publishersBusy");
          refused = true;
        }
        assert.equal(refused, !fits);
        if (refused || close) {
          one.close();
          open.delete(body);
        }
        assert.ok(bodies.bytes <= 100);
      }
      for (const one of open.values()) one.close();
      assert.equal(bodies.bytes, 0);
    }),
  );
});

it("a body that is not whole in time fails with bodyTooSlow, and not before its time", async () => {
  const bodies = new Bodies({ bytes: 100, seconds: 0.2 });
  const began = performance.now();
  let late: GatewayError | undefined;
  const body = bodies.begin();
  body.onLate = (error) => {
    late = error;
  };
  await until(
    "late",
    () => late?.kind,
    (kind) => kind === "bodyTooSlow",
  );
  assert.ok(performance.now() - began >= 200);
  body.close();
  body.close();
  assert.equal(bodies.bytes, 0);
});
