/** Each mechanism is named by the numbers that only it moves, and the surest comes first. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMetrics } from "../../../../load/attribution/gateway.js";
import { plateauInWords } from "../../../../load/attribution/plateau.js";
import { attribute, causeInWords } from "../../../../sysctl/attribution/attribute.js";
import { CAUSES } from "../../../../sysctl/attribution/causes.js";
import { type Snapshot, takeSnapshot } from "../../../../sysctl/attribution/counters.js";
import type { GatewayNumbers, View } from "../../../../sysctl/attribution/proofs.js";
import { KernelFiles } from "../../../../sysctl/kernel/files.js";

const NONE = takeSnapshot(new KernelFiles("/nowhere/"));
const NOTHING = Object.fromEntries(Object.keys(NONE).map((name) => [name, 0])) as unknown as Snapshot;

const FULL_GATEWAY: GatewayNumbers = {
  connections: 200,
  workers: 2,
  workersExpected: 2,
  workersListening: 0,
  refusedFull: 31,
  restarts: 0,
  cap: 200,
  capLimit: "descriptors",
  descriptorsLeft: 100,
};

interface Changes extends Partial<Omit<View, "grown" | "peak" | "run">> {
  readonly grown?: Partial<Snapshot>;
  readonly peak?: Partial<Snapshot>;
  readonly run?: Partial<View["run"]>;
}

function view({ grown, peak, run, ...rest }: Changes): View {
  return {
    grown: { ...NOTHING, ...grown },
    peak: { ...NOTHING, ...peak },
    failed: {},
    open: 5000,
    gateway: null,
    busy: 0.3,
    perSecond: { before: 10_000, after: 9000 },
    memory: { freeBytes: 9e9, floorBytes: 1e9 },
    ...rest,
    run: {
      target: 6000,
      colocated: true,
      cores: 2,
      generators: 2,
      nofile: 20_000,
      sources: 2,
      ports: 28_232,
      wholeRange: false,
      ...run,
    },
  };
}

const ids = (changes: Changes): string[] => attribute(view(changes), new Map()).map(({ id, side }) => `${id} ${side}`);

describe("attribution", () => {
  it("finds nothing where nothing moved, nor in counters that the kernel does not have", () => {
    assert.deepEqual(ids({}), []);
    assert.deepEqual(ids({ grown: NONE, peak: NONE }), []);
  });

  it("names each error's own limit", () => {
    assert.deepEqual(ids({ failed: { EMFILE: 3 } }), ["client-descriptors client"]);
    assert.deepEqual(ids({ failed: { ENFILE: 3 } }), ["file-max both"]);
    assert.deepEqual(ids({ failed: { EADDRNOTAVAIL: 3 } }), ["ports client"]);
    assert.deepEqual(ids({ failed: { ENOSPC: 3 } }), ["epoll-watches client"]);
    assert.deepEqual(ids({ failed: { ENOBUFS: 3 } }), ["memory both"]);
    assert.deepEqual(ids({ memory: { freeBytes: 9e8, floorBytes: 1e9 } }), ["memory both"]);
  });

  it("distinguishes a full connection-tracking table from one that is not full or unused", () => {
    const peak = { conntrackCount: 5000, conntrackMax: 5000 };
    assert.deepEqual(ids({ peak, grown: { conntrackDrops: 40 } }), ["conntrack both"]);
    assert.deepEqual(ids({ peak: { conntrackCount: 0, conntrackMax: 5000 }, grown: { conntrackDrops: 40 } }), []);
    const some = attribute(
      view({ peak: { conntrackCount: 900, conntrackMax: 5000 }, grown: { conntrackDrops: 4 } }),
      new Map(),
    );
    assert.deepEqual([some[0]?.id, some[0]?.certainty], ["conntrack", "likely"]);
  });

  it("names what queues and memory of the kernel lost", () => {
    assert.deepEqual(ids({ grown: { listenOverflows: 5, listenDrops: 5 } }), ["accept-queue server"]);
    assert.deepEqual(ids({ grown: { listenDrops: 5 }, run: { colocated: false } }), []);
    assert.deepEqual(ids({ grown: { softnetDrops: 9 } }), ["packet-backlog both"]);
    const orphans = { orphans: 600, orphansMax: 1000, tcpPagesMax: 100 };
    assert.deepEqual(ids({ grown: { abortsOnMemory: 5 }, peak: orphans }), ["orphans both"]);
    assert.deepEqual(ids({ grown: { abortsOnMemory: 5 }, peak: { ...orphans, orphans: 1 } }), ["tcp-mem both"]);
    assert.deepEqual(ids({ peak: { ...orphans, orphans: 1, tcpPages: 100 } }), ["tcp-mem both"]);
  });

  it("names which limit made the gateway's cap, when it is full", () => {
    const failed = { http_503: 400 };
    for (const capLimit of ["descriptors", "epoll-watches", "file-max", "worker-connections"]) {
      assert.deepEqual(ids({ failed, gateway: { ...FULL_GATEWAY, capLimit } }), [`${capLimit} server`]);
    }
    assert.deepEqual(ids({ failed }), ["gateway-full server"]);
    assert.deepEqual(ids({ gateway: { ...FULL_GATEWAY, connections: 90, refusedFull: 0, workersListening: 2 } }), []);
    const [died] = attribute(view({ gateway: { ...FULL_GATEWAY, connections: 9, restarts: 2 } }), new Map());
    assert.equal(died?.id, "worker-died");
    assert.deepEqual(ids({ gateway: { ...FULL_GATEWAY, capLimit: "", descriptorsLeft: 5 } }), ["descriptors server"]);
  });

  it("sees the cliff at half of the ports, silence from afar, and busy cores", () => {
    const steep = { before: 10_000, after: 300 };
    assert.deepEqual(ids({ open: 20_000, run: { sources: 1 }, perSecond: steep }), ["half-range client"]);
    assert.deepEqual(ids({ open: 20_000, run: { sources: 1, wholeRange: true }, perSecond: steep }), []);
    assert.deepEqual(ids({ failed: { timeout: 9 }, run: { colocated: false } }), ["unanswered server"]);
    assert.deepEqual(ids({ busy: 0.97 }), ["cpu both"]);
  });

  it("lists proven causes first, the most costly of them first, and when each began to bite", () => {
    const changes = {
      busy: 1,
      failed: { EMFILE: 2, EADDRNOTAVAIL: 50, timeout: 4 },
      grown: { listenOverflows: 900, softnetDrops: 3 },
    };
    const firstSeen = new Map([
      ["EADDRNOTAVAIL", 4000],
      ["listenOverflows", 700],
      ["listenDrops", 650],
    ]);
    const found = attribute(view(changes), firstSeen);
    assert.deepEqual(
      found.map(({ id, certainty, firstSeenAt }) => [id, certainty, firstSeenAt]),
      [
        ["ports", "proven", 4000],
        ["client-descriptors", "proven", null],
        ["accept-queue", "likely", 650],
        ["packet-backlog", "likely", null],
        ["cpu", "possible", null],
      ],
    );
  });

  it("describes a cause in one line, without unknown numbers", () => {
    const [cause] = attribute(
      view({ failed: { ENFILE: 3 }, peak: { filesOpen: 9000, filesMax: Number.NaN } }),
      new Map(),
    );
    assert.ok(cause);
    assert.equal(
      causeInWords(cause),
      "file-max: this system's open files are at fs.file-max (ENFILE 3, files open 9,000)",
    );
    assert.deepEqual(cause.numbers, { ENFILE: 3, "files open": 9000, limit: null });
    const plateau = { connections: 4500, atSeconds: 3, causes: [cause] };
    assert.match(plateauInWords(plateau), /^the curve went flat at 4,500: file-max: .*; remedy: raise fs\.file-max$/);
    assert.match(plateauInWords({ ...plateau, causes: [] }), /4,500, and no counter here explains it$/);
  });

  it("has a remedy for each cause, and names made for labels", () => {
    for (const { id, remedy } of CAUSES) {
      assert.match(id, /^[a-z]+(-[a-z]+)*$/);
      assert.ok(remedy.length > 10);
    }
  });

  it("reads the gateway's scrape, whatever it leaves out", () => {
    const scrape =
      'megagate_connections 198\nmegagate_connections_cap{limit="file-max"} 200\nmegagate_refused_total{reason="full"} 7\nmegagate_workers_listening 0\n';
    const seen = parseMetrics(scrape);
    assert.deepEqual([seen.connections, seen.cap, seen.capLimit], [198, 200, "file-max"]);
    assert.deepEqual([seen.refusedFull, seen.workersListening], [7, 0]);
    assert.ok(Number.isNaN(parseMetrics("").cap) && parseMetrics("").capLimit === "");
  });
});
