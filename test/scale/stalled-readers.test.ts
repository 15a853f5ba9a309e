/**
 * 5,100 of 15,000 readers stop, all in one of the ways in which a reader can stop and yet seem alive: it answers pings only, asks
 * again each second, stands still in the midst of a state, of a history, or of catching up. For each way the gateway's own memory
 * grows by no more than the arithmetic of config/slow-cost.ts allows, and while they stand still the others are not delayed beyond a
 * stated factor. Until they are parked their buffers are being filled, with up to 20 GB that they asked for in one moment, on two
 * cores that gateway and clients share: what the others feel in those seconds is told and not judged.
 * Those that stop without another word, and what each policy owes them, are in slow-readers.test.ts. Three minutes.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SERVE_OPTIONS } from "../../src/config/options.js";
import { slowReaderCost, USUAL_SLOW_READER } from "../../src/config/slow-cost.js";
import { evidencePath, readEvidence, startLoad } from "../support/evidence.js";
import { type Exit, Gateway } from "../support/gateway.js";
import { type Stall, StalledReaders } from "../support/stalled-readers.js";
import { tunedNetwork } from "../support/tuned-network.js";
import { until } from "../support/wait.js";

const FAST = 9900;
const STALLED = 5100;
const SOCKETS_PER_TOPIC = 330;
/** What the others may be delayed to, by the p99 of a second: this factor of the baseline, or this where that is less. */
const LATENCY_FACTOR = 3;
const LATENCY_FLOOR_MS = 250;
const SCENARIO_SECONDS = 13;
const RESTING_SECONDS = 5;
/** What those that stall follow; each gets a publication so often that the kernel's buffers are full in three seconds. */
const QUIET = Array.from({ length: 10 }, (_, i) => `quiet:${i}`);
const QUIET_EVERY_MS = 300;
const PUBLISH_BYTES = 12_000;
/** States of a mebibyte each, which move on each second. */
const STATES = ["state:0", "state:1"];
const STATE_KEYS = 100;
const HISTORY = "history:0";
const HISTORY_COUNT = 300;

const hardNofile = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
const freeKb = Number(/^MemFree:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
const skip =
  hardNofile < 16_000
    ? `needs a hard descriptor limit of 16,000, has ${hardNofile}`
    : freeKb < 3e6
      ? "needs 3 GB of free memory"
      : // Small windows, so that little has to be sent before a buffer is full.
        tunedNetwork({ "net.ipv4.tcp_rmem": "4096 32768 65536" });

interface Way {
  readonly policy: "disconnect" | "conflate";
  stall(epoch: string): Stall;
  /** They stop among pushes, which must come; the others among what they asked for. */
  readonly isPushedTo?: true;
  /** Bytes of one reader; by default the arithmetic for a reader of one topic. */
  readonly allowed?: number;
}

const query = (topic: string): object => ({ reqtype: "Query", action: `all${topic}` });
const limits = {
  maxBackpressureBytes: SERVE_OPTIONS.maxBackpressureBytes.default,
  maxPublicationBytes: SERVE_OPTIONS.maxPublicationBytes.default,
};

const WAYS: Readonly<Record<string, Way>> = {
  "only answer pings": { policy: "disconnect", isPushedTo: true, stall: () => ({ pongs: true }) },
  "ask again each second": {
    policy: "conflate",
    stall: () => ({ ask: STATES.map(query), askAgain: STATES.map(query) }),
    allowed: slowReaderCost(limits, 1 + STATES.length).user,
  },
  "stand still in a state": {
    policy: "conflate",
    stall: () => ({ ask: STATES.map(query), pongs: true }),
    allowed: slowReaderCost(limits, 1 + STATES.length).user,
  },
  "stand still in a history": {
    policy: "disconnect",
    stall: (epoch) => ({ ask: [{ reqtype: "Subscribe", topic: HISTORY, since: { epoch, offset: 0 } }], pongs: true }),
    allowed: slowReaderCost(limits, 2).user,
  },
  "stand still while they catch up": {
    policy: "conflate",
    isPushedTo: true,
    stall: () => ({ pongs: true, gulpAtSecond: 6 }),
  },
};

const pad = "x".repeat(10_400);

async function publish(gateway: Gateway, messages: readonly object[]): Promise<void> {
  const response = await gateway.admin("/publish", { method: "POST", body: JSON.stringify(messages) });
  assert.equal(response.status, 200, await response.text());
}

/** States, and a history that both workers have. */
async function fill(gateway: Gateway): Promise<string> {
  for (const topic of STATES) {
    const keys = Array.from({ length: STATE_KEYS }, (_, i) => ({ topic, key: `k${i}`, data: pad }));
    await publish(gateway, keys.slice(0, STATE_KEYS / 2));
    await publish(gateway, keys.slice(STATE_KEYS / 2));
  }
  for (let from = 0; from < HISTORY_COUNT; from += 50)
    await publish(
      gateway,
      Array.from({ length: 50 }, () => ({ topic: HISTORY, data: pad })),
    );
  const { epoch } = (await (await gateway.admin(`/topics/${HISTORY}`)).json()) as { epoch: string };
  return epoch;
}

describe("5,100 of 15,000 readers", { skip }, () => {
  for (const [name, way] of Object.entries(WAYS)) {
    it(`${name}: memory by the arithmetic, the others at most so much slower`, { timeout: 120_000 }, async (t) => {
      await using gateway = await Gateway.start(
        ...["--connections", String(FAST + STALLED), "--workers", "2", "--stop-seconds", "5"],
        // Long enough that nobody is cut while it is measured.
        ...["--slow-reader-grace-ms", "600000", "--history-bytes", "16MB", "--history-count", "10000"],
        ...["--topic-rules", `quiet:slow=${way.policy};state:slow=conflate`],
      );
      const epoch = await fill(gateway);
      await using readers = await StalledReaders.open({ port: gateway.port, count: STALLED, topics: QUIET });
      const publishTo = (topics: readonly string[]): void => {
        const data = `${pad}${performance.now()}`;
        if (topics.length > 0)
          void publish(
            gateway,
            topics.map((topic) => ({ topic, key: "k0", data })),
          ).catch(() => undefined);
      };
      const report = evidencePath();
      const sockets = `--connections ${FAST} --topic stream --sockets-per-topic ${SOCKETS_PER_TOPIC} --hold-seconds 1`;
      const stream = `--publish-rate 40 --publish-bytes ${PUBLISH_BYTES} --baseline-seconds 4 --scenario-seconds ${SCENARIO_SECONDS}`;
      // Ten of its own stop, because it wants some; ours are told to at the same moment.
      const bars = "--slow 0.1% --slow-bytes 1000MB";
      const run = startLoad(gateway, report, "slow", ...`${sockets} ${stream} ${bars}`.split(" "));
      await until(
        "the baseline is measured",
        () => run.stderr + run.stdout,
        (text) => /^slow: /m.test(text) || run.process.exitCode !== null,
        40_000,
      );
      await readers.stall(way.stall(epoch));
      const moving = [
        setInterval(() => publishTo(way.isPushedTo ? QUIET : []), QUIET_EVERY_MS),
        setInterval(() => publishTo(STATES), 1000),
      ];
      let parked = 0;
      const stalledMs = performance.now();
      let parkedSeconds = 0;
      let exit: Exit;
      try {
        await until(
          "they are parked",
          async () => (parked = Math.max(parked, await gateway.metric("megagate_parked_connections"))),
          (count) => count >= 0.98 * STALLED,
          12_000,
        );
        parkedSeconds = Math.ceil((performance.now() - stalledMs) / 1000);
        exit = await run.ended;
      } finally {
        for (const timer of moving) clearInterval(timer);
      }
      const { scenario, reasons } = readEvidence(report);
      const judgedHere = /connections, [\d,]+ were open$|^p99 push latency/;
      assert.deepEqual(
        reasons.filter((reason) => !judgedHere.test(reason)),
        [],
        exit.stdout + exit.stderr,
      );
      const { messages: m, latency, gateway: own, paused } = scenario!;
      // Once their buffers are full and the machine has come to rest again: the middle one of the last seconds.
      const resting = latency.during.p99BySecondMs.slice(-RESTING_SECONDS).map((ms) => ms ?? 0);
      const p99Ms = resting.sort((a, b) => a - b)[Math.floor(RESTING_SECONDS / 2)]!;
      const bar = Math.max(LATENCY_FLOOR_MS, LATENCY_FACTOR * (latency.before.p99Ms ?? 0));
      assert.ok(parkedSeconds + RESTING_SECONDS <= SCENARIO_SECONDS, `they were parked after ${parkedSeconds} s only`);
      assert.deepEqual([m.gaps, m.lost, m.duplicates, m.behindConnections], [0, 0, 0, 0]);
      assert.equal(
        await gateway.metric('megagate_closed_total{reason="slow"}'),
        0,
        "nobody was cut while it was measured",
      );
      const each = (own.bytesDuring! - own.bytesBefore!) / (STALLED + paused);
      const { allowed = USUAL_SLOW_READER.user } = way;
      t.diagnostic(
        `${parked} parked after ${parkedSeconds} s; ${Math.round(each)} bytes each, allowed ${allowed}; p99 of the others ` +
          `${latency.before.p99Ms ?? 0} ms before, then by second ${latency.during.p99BySecondMs.join(" ")} ms`,
      );
      assert.ok(p99Ms <= bar, `p99 of the others was ${p99Ms} ms while they stood still, allowed ${bar} ms`);
      assert.ok(each <= allowed, `${Math.round(each)} bytes for each that stands still, allowed ${allowed}`);
    });
  }
});
