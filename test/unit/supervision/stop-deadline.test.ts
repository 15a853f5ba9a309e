/** One deadline for a stop, and what is told to systemd is above it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SERVE_OPTIONS } from "../../../src/config/options.js";
import { goodbyesWithinMs } from "../../../src/drain/goodbye.js";
import { SignalRequests } from "../../../src/signals.js";
import { stopDeadline } from "../../../src/supervision/stop-deadline.js";

describe("the deadline of a stop", () => {
  it("is the same for workers and hub, which keeps a part; goodbyes end before the workers do", () => {
    for (const stopSeconds of [1, 2, 5, 60, 3600]) {
      for (const stopNoticeSeconds of [0, 7]) {
        const { noticeEndMs, workersEndMs, endMs } = stopDeadline(1000, { stopNoticeSeconds, stopSeconds });
        assert.equal(endMs, 1000 + (stopNoticeSeconds + stopSeconds) * 1000);
        assert.equal(noticeEndMs, 1000 + stopNoticeSeconds * 1000);
        assert.ok(endMs - workersEndMs >= 100 && endMs - workersEndMs <= 2000);
        assert.ok(goodbyesWithinMs(stopSeconds) < workersEndMs - noticeEndMs);
      }
    }
  });

  it("systemd's TimeoutStopSec in the unit that is shipped leaves ten seconds above it, by the default options", () => {
    const unit = readFileSync("sysctl/deploy/systemd/megagate.service", "utf8");
    const [, seconds = ""] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
    const { stopNoticeSeconds, stopSeconds } = SERVE_OPTIONS;
    assert.ok(Number(seconds) >= stopNoticeSeconds.default + stopSeconds.default + 10, `TimeoutStopSec=${seconds}`);
  });
});

describe("signals", () => {
  it("within half a second of each other they are one request; later it is another one", () => {
    const requests = new SignalRequests();
    assert.deepEqual(
      [0, 1, 499, 500, 700, 1000].map((ms) => requests.received(ms)),
      ["first", "same", "same", "another", "same", "another"],
    );
  });
});
