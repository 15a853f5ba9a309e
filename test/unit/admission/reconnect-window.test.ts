/** The window that clients know in advance: in powers of two, longer at once, shorter only when that has lasted. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ReconnectWindow, unannouncedWindowMs } from "../../../src/admission/reconnect-window.js";

describe("the window for disconnects without a close frame", () => {
  it("is the time that three tenths of the clients need, a power of two in seconds, between one and eight", () => {
    assert.deepEqual(
      [0, 1000, 3333, 3334, 6000, 7000, 20_000, 26_666, 1e6].map(unannouncedWindowMs),
      [1000, 1000, 1000, 2000, 2000, 4000, 8000, 8000, 8000],
    );
  });

  it("must be sent when it has grown, and never where it is the minimum that clients assume", () => {
    const reconnectWindow = new ReconnectWindow();
    assert.deepEqual([reconnectWindow.update(0, 0), reconnectWindow.windowMs], [false, undefined]);
    assert.deepEqual([reconnectWindow.update(6000, 1000), reconnectWindow.windowMs], [true, 2000]);
    assert.deepEqual([reconnectWindow.update(6500, 2000), reconnectWindow.windowMs], [false, 2000]);
    assert.deepEqual([reconnectWindow.update(50_000, 3000), reconnectWindow.windowMs], [true, 8000]);
  });

  it("becomes shorter for new clients when there have been fewer for a minute", () => {
    const reconnectWindow = new ReconnectWindow();
    reconnectWindow.update(20_000, 0);
    const seen = [1000, 30_000, 31_000, 32_000, 91_000, 92_000].map((nowMs) => {
      // For a moment all clients are back.
      const news = reconnectWindow.update(nowMs === 31_000 ? 20_000 : 0, nowMs);
      return [news, reconnectWindow.windowMs];
    });
    const kept = [false, 8000];
    assert.deepEqual(seen, [kept, kept, kept, kept, kept, [false, undefined]]);
  });
});
