import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFull, type WorkerSlot, workersThatMustOverflow } from "../../../src/supervision/worker-pool.js";

const place = (state: "room" | "full" | "dead" | "leaving"): WorkerSlot => ({
  up: state !== "dead",
  full: state === "full",
  leaving: state === "leaving",
});
const of = (...states: Parameters<typeof place>[0][]): WorkerSlot[] => states.map(place);
const helpless = (places: WorkerSlot[]): number[] =>
  [...workersThatMustOverflow(places)].map((one) => places.indexOf(one));

describe("who listens beyond its cap", () => {
  it("nobody while two have room", () => {
    assert.deepEqual(helpless(of("room", "full", "room")), []);
  });
  it("the last one with room, before it is full", () => {
    assert.deepEqual(helpless(of("full", "room", "full")), [1]);
    assert.deepEqual(helpless(of("room")), [0]);
  });
  it("all when none has room: the dead, the starting and the leaving offer none", () => {
    assert.deepEqual(helpless(of("full", "full")), [0, 1]);
    assert.deepEqual(helpless(of("full", "dead", "leaving")), [0, 1, 2]);
  });
  it("is full when every one that is up is; nobody can say while none is", () => {
    assert.equal(isFull(of("full", "dead", "full")), true);
    assert.equal(isFull(of("full", "room", "dead")), false);
    assert.equal(isFull(of("leaving", "dead")), undefined);
    assert.equal(isFull([]), undefined);
  });
});
