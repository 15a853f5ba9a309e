/** Each limit's arithmetic, on recorded hosts with one thing changed: sysctl/doctor/count-limits.ts, headroom.ts and demand.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fullestWorker, workersFor } from "../../../../src/config/capacity.js";
import type { MachineFacts } from "../../../../sysctl/kernel/facts.js";
import { ceilingAt, factsOf, type PLAN } from "./hosts.js";

const nofile = (hard: number): Partial<MachineFacts> => ({ nofile: { soft: 1024, hard } });

describe("descriptors", () => {
  it("bound the gateway only together with its maximum number of workers", () => {
    const row = ceilingAt("descriptors", factsOf("debian-vm"));
    assert.equal(workersFor(row.connections!, 2, 20_000), 4096);
    assert.ok(fullestWorker(row.connections! + 1, 4096) > 19_900);
    assert.match(row.current, /^20,000 a process: 53 workers for 1,000,000$/);
    assert.match(
      row.explanation,
      /A worker holds 19,900.*starts 53 workers by itself.*--workers 2\) would hold 39,800/,
    );
  });

  it("are low where even the maximum of workers is too few, and the remedy does not ask for more than fs.nr_open", () => {
    const row = ceilingAt("descriptors", factsOf("debian-vm", nofile(256)), { connections: 5_000_000 });
    assert.equal(row.verdict, "low");
    assert.deepEqual(row.need, { kind: "nofile", value: 1_048_576 });
  });

  it("are raised by the gateway itself where it may, so that a worker for each core is enough", () => {
    const row = ceilingAt("descriptors", factsOf("debian-vm", { ...nofile(1024), raisesLimits: true }));
    assert.match(row.explanation, /may raise its limit and does so, to 503,6\d\d\).*starts 2 workers/);
  });

  it("are unknown where they cannot be read", () => {
    assert.equal(ceilingAt("descriptors", factsOf("debian-vm", { nofile: null })).verdict, "unknown");
  });
});

describe("both ends on one machine", () => {
  it("halve the limits that count sockets, not those that count connections", () => {
    const facts = factsOf("host-64-cores", { ...nofile(20_000) });
    assert.equal(ceilingAt("conntrack", facts, { side: "both" }).connections, 262_144 - 1873);
    assert.equal(ceilingAt("epoll-watches", facts, { side: "both" }).connections, 117_401_520 / 2);
  });

  it("take as many addresses of 127.0.0.0/8 as they need, so that ports do not bound", () => {
    const row = ceilingAt("ports", factsOf("debian-vm"), { side: "both" });
    assert.deepEqual([row.verdict, row.connections], ["ok", null]);
  });
});

describe("ports", () => {
  it("are the range less the reserved, times sources, times destinations", () => {
    const facts = factsOf("debian-vm", { portsReserved: 232 });
    assert.equal(ceilingAt("ports", facts, { side: "client" }).connections, 28_000);
    assert.equal(ceilingAt("ports", facts, { side: "client", sources: 10, destinations: 4 }).connections, 1_120_000);
    assert.match(ceilingAt("ports", facts, { side: "client" }).explanation, /Past half of it \(14,000\)/);
  });
});

describe("connection tracking", () => {
  const static_ = { entries: 1873, live: false };

  it("does not bound where connections add no entry, whatever the count is", () => {
    const row = ceilingAt("conntrack", factsOf("host-64-cores", { tracking: static_ }));
    assert.deepEqual([row.verdict, row.connections], ["ok", null]);
  });

  it("is unknown in a container: the namespace beyond its bridge is hidden", () => {
    const row = ceilingAt("conntrack", factsOf("docker-container"));
    assert.equal(row.verdict, "unknown");
    assert.match(row.explanation, /container's bridge.*run this on the host itself/);
    assert.equal(ceilingAt("conntrack", factsOf("docker-container", { ownNetwork: false })).verdict, "ok");
  });

  it("is known in a container where both ends are inside, and nothing leaves its namespace", () => {
    assert.equal(ceilingAt("conntrack", factsOf("docker-container"), { side: "both" }).verdict, "ok");
  });

  it("is unknown where nobody tried, and does not exist where the module is not loaded", () => {
    const untried = { entries: 0, live: null };
    assert.equal(ceilingAt("conntrack", factsOf("host-64-cores", { tracking: untried })).verdict, "unknown");
    assert.equal(ceilingAt("conntrack", factsOf("docker-container", { tracking: null })).verdict, "ok");
  });
});

describe("tcp_mem", () => {
  it("counts pages a socket before Linux 6.0, and bounds only stalled readers from then on", () => {
    const old = ceilingAt("tcp-mem", factsOf("host-4gib", { kernel: "5.15.0" }));
    assert.deepEqual([old.counts, old.connections], [true, 93_383]);
    const big = ceilingAt("tcp-mem", factsOf("host-4gib", { kernel: "5.14.0-427.el9.aarch64+64k", pageBytes: 65_536 }));
    assert.equal(big.connections, 16 * 93_383);
    assert.equal(ceilingAt("tcp-mem", factsOf("host-4gib")).counts, false);
  });

  it("is unknown in a network namespace that hides it", () => {
    assert.equal(ceilingAt("tcp-mem", factsOf("kubernetes-pod")).verdict, "unknown");
    assert.match(
      ceilingAt("tcp-mem", factsOf("docker-container")).explanation,
      /^host-wide, and not visible in this network namespace/,
    );
  });
});

describe("files, tasks and memory", () => {
  it("are what others leave", () => {
    const facts = factsOf("host-4gib", { filesOpen: 1289 });
    assert.equal(ceilingAt("file-max", facts).connections, 400_000);
  });

  it("do not count a running gateway's own connections twice", () => {
    const open = 100_000;
    const running = factsOf("host-4gib", { filesOpen: 1289 + open });
    assert.equal(ceilingAt("file-max", running, { open }).connections, 400_000);
    assert.equal(ceilingAt("file-max", running).connections, 300_000);
  });

  it("exempt the processes that the kernel exempts", () => {
    assert.equal(ceilingAt("file-max", factsOf("host-4gib", { opensBeyondFileMax: true })).connections, null);
    const tasks = { running: 97, ofUser: 200, group: null };
    assert.equal(ceilingAt("pids", factsOf("host-4gib", { tasks })).verdict, "low");
    assert.equal(ceilingAt("pids", factsOf("host-4gib", { tasks, raisesLimits: true })).verdict, "ok");
  });

  it("are about 5 KB a connection for the gateway alone and 10 KB for both ends, with live tracking 256 bytes more", () => {
    const each = (plan: Partial<typeof PLAN>, changes: Partial<MachineFacts> = {}): number =>
      Number(
        /model: ([\d,]+) bytes/
          .exec(ceilingAt("memory", factsOf("debian-vm", changes), plan).explanation)?.[1]
          ?.replaceAll(",", ""),
      );
    assert.equal(each({}), 5784, "the log of topics among them");
    assert.equal(each({}, { tracking: { entries: 0, live: true } }), 6040);
    assert.ok(Math.abs(each({ side: "both" }) - 10_800) < 200, String(each({ side: "both" })));
  });

  it("leave the load generator its memory floor, which it would refuse to go below", () => {
    assert.match(
      ceilingAt("memory", factsOf("debian-vm"), { side: "both" }).current,
      /1\.0 GB of it kept by megagate load/,
    );
  });
});
