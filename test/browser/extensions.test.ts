/**
 * The example page in real Chromium: the snapshot is shown, and when the worker that holds its socket is killed in the
 * middle of 500 publications a second, the page ends with every offset, without gap and without duplicate.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { type Browser, chromium } from "playwright-core";
import { Gateway } from "../support/gateway.js";
import { needsPrograms } from "../support/needs.js";
import { until } from "../support/wait.js";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const skip = needsPrograms(CHROMIUM);

/** A publication that is refused is no push that was lost. */
async function publish(gateway: Gateway, key: string, data: unknown): Promise<void> {
  const response = await gateway.admin("/publish", {
    method: "POST",
    body: JSON.stringify({ topic: "exts", key, data }),
  });
  assert.equal(response.status, 200, await response.text());
}

async function withPage(run: (gateway: Gateway, browser: Browser) => Promise<void>): Promise<void> {
  await using gateway = await Gateway.start(
    "--workers",
    "3",
    "--dev",
    "--history-count",
    "5000",
    "--history-bytes",
    "1MiB",
  );
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    await run(gateway, browser);
  } finally {
    await browser.close();
  }
}

it("shows the snapshot, then lives through the death of its worker without a gap", { skip, timeout: 90_000 }, () =>
  withPage(async (gateway, browser) => {
    for (const [key, status] of [
      ["8001", "idle"],
      ["8002", "talking"],
      ["8003", "away"],
    ])
      await publish(gateway, key!, status);
    const page = await browser.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(error.message));
    await page.goto(`http://127.0.0.1:${gateway.port}/`);
    await page.waitForFunction('document.querySelectorAll("#rows tr").length === 3');
    assert.equal(await page.textContent("#rows tr:nth-child(2) td:nth-child(2)"), "talking");
    assert.equal(await page.textContent("#connection"), "open");

    const victim = await until(
      "the page's worker",
      async () => (await gateway.processes()).find((row) => row.role === "worker" && (row.connections ?? 0) > 0),
      (row) => row !== undefined,
    );
    const started = Date.now();
    let sent = 0;
    while (sent < 2000) {
      // 500 a second, however slow a single answer is; at once never more than the admin port has connections for.
      const due = Math.min(2000, sent + 200, Math.floor((Date.now() - started) / 2));
      const batch = [];
      for (; sent < due; sent++) batch.push(publish(gateway, `80${String(sent % 50).padStart(2, "0")}`, sent));
      await Promise.all(batch);
      if (sent > 700 && victim!.pid > 0 && (await gateway.metric("megagate_worker_restarts_total")) === 0) {
        process.kill(victim!.pid, "SIGKILL");
        await until(
          "restarted",
          () => gateway.metric("megagate_worker_restarts_total"),
          (n) => n === 1,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const last = sent + 3;
    const seen = await until(
      "the page has the last offset",
      () => page.evaluate<(number | { state: number })[]>("globalThis.seen"),
      (list) => list.at(-1) === last,
      30_000,
    );
    assert.deepEqual(seen[0], { state: 3 });
    assert.deepEqual(
      seen.slice(1),
      Array.from({ length: last - 3 }, (_, i) => 4 + i),
      "every offset once, in order",
    );
    assert.equal(await page.textContent("#resets"), "0");
    assert.deepEqual(faults, []);
  }),
);

it(
  "fits a phone of 390 px with the longest topic, key and status, and names the admin port in use",
  { skip, timeout: 60_000 },
  () =>
    withPage(async (gateway, browser) => {
      const topic = "t".repeat(128);
      const message = { topic, key: "k".repeat(256), data: "x".repeat(2000) };
      await gateway.admin("/publish", { method: "POST", body: JSON.stringify(message) });
      const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
      await page.goto(`http://127.0.0.1:${gateway.port}/?topic=${topic}`);
      await page.waitForFunction('document.querySelectorAll("#rows tr").length === 1');
      assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 390);
      const command = (await page.textContent("#command"))!;
      assert.match(command, new RegExp(`"topic":"${topic}".* http://127\\.0\\.0\\.1:${gateway.adminPort}/publish$`));
    }),
);

it(
  "puts nothing but a topic into the command that a person copies, and shows why a topic is refused",
  { skip, timeout: 60_000 },
  () =>
    withPage(async (gateway, browser) => {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${gateway.port}/?topic=${encodeURIComponent("a' | sh #")}`);
      await page.waitForFunction('!document.getElementById("refused").hidden');
      assert.match((await page.textContent("#refused"))!, /^The gateway refused the topic: 4002 /);
      assert.equal(await page.isVisible("#command"), false);
      assert.doesNotMatch((await page.textContent("#command"))!, /sh #/);
    }),
);
