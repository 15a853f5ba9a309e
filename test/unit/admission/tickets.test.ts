/** Tickets that any worker accepts in their window, and slots at the rate of the budget. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { Slots, TICKET_LIFE_MS, Tickets } from "../../../src/admission/tickets.js";

const key = Buffer.alloc(32, 7);
const tickets = new Tickets(key);
const start = fc.integer({ min: 1.6e12, max: 3e12 });

it("a ticket is valid from its start for its life, in every worker with the key", () => {
  fc.assert(
    fc.property(start, fc.integer({ min: -120_000, max: 120_000 }), (startMs, after) => {
      const wanted = after < -250 ? "early" : after <= TICKET_LIFE_MS ? "valid" : "expired";
      assert.equal(new Tickets(key).check(tickets.issue(startMs), startMs + after), wanted);
    }),
  );
});

it("a ticket needs no escaping in a URL", () => {
  fc.assert(fc.property(start, (startMs) => assert.match(tickets.issue(startMs), /^[\w.-]+$/)));
});

it("any other text is forged, and no text throws", () => {
  const other = new Tickets(Buffer.alloc(32, 8));
  fc.assert(fc.property(start, (startMs) => assert.equal(tickets.check(other.issue(startMs), startMs), "forged")));
  fc.assert(
    fc.property(start, fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (startMs, at, by) => {
      const ticket = tickets.issue(startMs);
      const place = at % ticket.length;
      const changed = `${ticket.slice(0, place)}${by}${ticket.slice(place + 1)}`;
      const verdict = tickets.check(changed, startMs);
      // The last of 22 letters carries four bits only: others may mean the same bytes.
      if (changed !== ticket && place < ticket.length - 1) assert.equal(verdict, "forged");
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => assert.equal(tickets.check(text, Date.now()), "forged")),
  );
});

it("slots follow each other at the share of the budget, and no flood of requests moves them beyond the horizon", () => {
  const slots = new Slots();
  const now = 1.7e12;
  const given = Array.from({ length: 100 }, () => slots.take(now, 50, 0.5) - now);
  assert.equal(given[0], 0);
  assert.equal(given[99], 1980, "100 at 50 a second: one each 20 ms");
  assert.equal(slots.take(now + 10_000, 50, 0.5), now + 10_000, "unused slots are not made up for");
  const flood = Array.from({ length: 10_000 }, (_, i) => slots.take(now + 10_000, 50, (i % 100) / 100) - now - 10_000);
  assert.ok(Math.max(...flood) <= 60_000);
  assert.equal(slots.take(now + 75_000, 50, 0), now + 75_000, "a minute later the flood has no effect");
});
