/** What one worker answers to handshakes while it drains, is full, or has a storm at a fixed rate. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Admission, type AdmissionOptions } from "../../../src/admission/admission.js";
import { SLOT } from "../../../src/metrics/catalog.js";
import { counters } from "../../../src/metrics/counters.js";

/** Of this worker, a second. So low that a pause of the machine leaks nothing that matters from the bucket. */
const RATE = 1;
const NOW_MS = 1_000_000;

function admission(change: Partial<AdmissionOptions> = {}): Admission {
  return new Admission({
    config: { acceptRate: 2 * RATE, connectionsPerAddress: 0, handshakeWaitSeconds: 8 },
    workers: 2,
    rate: 2 * RATE,
    windowMs: 30_000,
    capReason: "total_limit",
    ticketKey: Buffer.alloc(32, 1),
    ...change,
  });
}

/** Admits as many as one second allows. */
function filled(): Admission {
  const full = admission();
  for (let i = 0; i < RATE; i++) {
    assert.equal(full.needsTicket, false, `${i} of ${RATE}`);
    full.admitted();
  }
  assert.equal(full.needsTicket, true);
  return full;
}

describe("admission", () => {
  it("refuses every handshake while the worker drains or is full, with the reason and a time to try again", () => {
    const one = admission();
    assert.equal(one.refuseAll(false, false), undefined);
    const draining = one.refuseAll(true, true)!;
    assert.deepEqual([draining.reason, draining.error.row.http], ["draining", 503]);
    const full = one.refuseAll(false, true)!;
    assert.deepEqual([full.reason, full.error.kind], ["total_limit", "totalLimit"]);
    for (const { headers } of [draining, full]) assert.match(headers!["Retry-After"]!, /^\d+$/);
  });

  it("in a storm gives slots with tickets that are admitted in their window, up to twice the limit", () => {
    const one = filled();
    assert.equal(one.slot(NOW_MS), undefined, "no storm before the first refusal");
    assert.equal(one.checkTicket(undefined, NOW_MS)?.reason, "storm");
    const first = one.slot(NOW_MS)!;
    const second = one.slot(NOW_MS)!;
    assert.deepEqual([first.afterMs, second.afterMs], [0, 1000 / RATE]);
    const before = Float64Array.from(counters);
    const counted = (slot: keyof typeof SLOT): number => counters[SLOT[slot]]! - before[SLOT[slot]]!;
    assert.equal(one.checkTicket(first.ticket, NOW_MS), undefined);
    assert.equal(one.checkTicket("forged", NOW_MS)?.reason, "storm");
    assert.equal(one.checkTicket(first.ticket, NOW_MS + 60_000)?.reason, "storm");
    assert.deepEqual(
      ["valid", "forged", "expired"].map((verdict) => counted(`ticket_${verdict}` as "ticket_valid")),
      [1, 1, 1],
    );
    for (let i = 0; i <= RATE; i++) one.admitted();
    assert.equal(one.checkTicket(first.ticket, NOW_MS)?.reason, "storm", "beyond twice the limit");
  });

  it("takes its share of a new budget", () => {
    const one = filled();
    one.setBudget(8 * RATE, 5000);
    assert.deepEqual([one.needsTicket, one.windowMs], [false, 5000]);
  });

  it("counts addresses only where they are limited, and reports them only where there are other workers", () => {
    const config = { acceptRate: 0, connectionsPerAddress: 5, handshakeWaitSeconds: 8 };
    assert.equal(admission().addresses, undefined);
    assert.equal(admission({ config }).addresses?.areReported, true);
    assert.equal(admission({ config, workers: 1 }).addresses?.areReported, false);
  });
});
