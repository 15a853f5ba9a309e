/** The plan loses no connection, gives no socket a port that does not exist, and names the resource for which it refuses. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type LoadPlanRequest, makePlan } from "../../../../load/run/plan.js";
import { GatewayError } from "../../../../src/errors.js";
import type { MachineLimits } from "../../../../sysctl/kernel/machine.js";

const HOST: MachineLimits = {
  kernel: "6.18",
  cores: 2,
  cpus: 2,
  memoryBytes: 25e9,
  freeBytes: 24e9,
  nofileHard: 20_000,
  fileMax: 2_466_183,
  filesOpen: 1000,
  root: false,
  epollWatches: 5_491_533,
  portLow: 32_768,
  portHigh: 60_999,
  portsReserved: 0,
  pidMax: 32_768,
  threadsMax: 192_000,
  threads: 500,
  groupMemory: null,
  groupTasks: null,
  tracked: null,
  conntrackCount: 0,
  conntrackMax: 262_144,
};

function request(changes: Partial<LoadPlanRequest> = {}, host: Partial<MachineLimits> = {}): LoadPlanRequest {
  return {
    connections: 1_000_000,
    generators: 0,
    inFlight: 0,
    sourceAddresses: "auto",
    memoryFloorBytes: 1e9,
    force: false,
    target: { address: "127.0.0.1", colocated: true },
    gateway: { workers: 53, nofile: 20_000, sameUser: true },
    host: { ...HOST, ...host },
    ...changes,
  };
}

const GROUP = { limit: 150e6, used: 60e6, at: "/memory/load", version: 2 } as const;
const remote = { address: "192.0.2.1", colocated: false };

function refusal(asked: LoadPlanRequest): string {
  try {
    makePlan(asked);
  } catch (error) {
    assert(error instanceof GatewayError);
    assert.equal(error.kind, "refused");
    assert.match(error.detail, /available, [\d,]+ needed\.\nRemedy: /);
    return error.detail;
  }
  assert.fail("it was not refused");
}

describe("limits of control groups", () => {
  it("refuse a load that the kernel would kill, naming the limit, and let a smaller one run", () => {
    const here = { groupMemory: GROUP };
    const asked = { connections: 20_000, target: remote, sourceAddresses: ["10.0.0.1"], gateway: null };
    assert.match(
      refusal(request({ ...asked, connections: 20_000 }, here)),
      /^not enough bytes of memory of the control group \/memory\/load \(its limit is 150,000,000, .* a floor of 15,000,000; client ends\): 75,000,000 available, .*\nRemedy: raise the group's limit \(MemoryMax=/,
    );
    assert.equal(makePlan(request({ ...asked, connections: 1000 }, here)).shares.length, 2);
    assert.equal(makePlan(request({ ...asked, force: true }, here)).shares.length, 2);
    const tiny = { groupMemory: { ...GROUP, limit: 90e6 } };
    assert.match(refusal(request({ ...asked, connections: 10, force: true }, tiny)), /control group \/memory\/load/);
  });

  it("count both ends where the gateway is in the group, and only the client ends where it is not", () => {
    const here = { groupMemory: { ...GROUP, limit: 320e6 } };
    const asked = { connections: 20_000, gateway: { workers: 2, nofile: 20_000, sameUser: true } };
    const target = { address: "127.0.0.1", colocated: true, sharesGroup: false };
    assert.equal(makePlan(request({ ...asked, target }, here)).shares.length, 2);
    const both = { ...target, sharesGroup: true };
    assert.match(refusal(request({ ...asked, target: both, connections: 30_000 }, here)), /; both ends are in it\)/);
  });

  it("refuse more generators than its tasks allow", () => {
    const here = { groupTasks: { limit: 100, used: 20, at: "/pids/load" } };
    assert.match(
      refusal(request({}, here)),
      /^not enough processes and threads of the control group \/pids\/load \(its pids\.max is 100\): 80 available/,
    );
    assert.equal(makePlan(request({ connections: 20_000 }, here)).shares.length, 2);
  });

  it("decide generators and lanes by the CPU quota", () => {
    const small = { connections: 10_000 };
    assert.equal(makePlan(request(small, { cores: 64 })).shares.length, 64);
    assert.equal(makePlan(request(small, { cores: 2, cpus: 1.5 })).lanes, 2);
  });
});

describe("tracked connections", () => {
  it("count where a probe found tracking, also with an empty table; a maximum of 0 never counts", () => {
    const tracked = { tracked: true };
    assert.match(refusal(request({}, tracked)), /^not enough connection tracking entries .*: 262,144 available/);
    assert.ok(makePlan(request({}, { tracked: false, conntrackCount: 300 })));
    assert.match(
      refusal(request({}, { conntrackCount: 300 })),
      /connection tracking/,
      "without a probe, entries show that tracking is on",
    );
    assert.ok(makePlan(request({}, { tracked: true, conntrackMax: 0 })));
  });
});

describe("plan", () => {
  it("holds a million on a machine with a hard limit of 20,000 descriptors", () => {
    const plan = makePlan(request());
    assert.equal(plan.shares.length, 51);
    assert.equal(plan.portRange, null);
    assert.equal(plan.inFlight, 8192);
    assert.equal(new Set(plan.sourceAddresses).size, 102);
  });

  it("loses no remainder, passes no limit and shares no address, whatever is asked for", () => {
    const asked = fc.record({
      connections: fc.integer({ min: 1, max: 3_000_000 }),
      nofileHard: fc.integer({ min: 2000, max: 1_100_000 }),
      cores: fc.integer({ min: 1, max: 128 }),
      ports: fc.integer({ min: 1000, max: 50_000 }),
    });
    fc.assert(
      fc.property(asked, ({ connections, nofileHard, cores, ports }) => {
        const plenty = { freeBytes: 1e12, fileMax: 1e9, epollWatches: 1e9, pidMax: 1e9, threadsMax: 1e9 };
        const host = { ...plenty, nofileHard, cores, portLow: 1024, portHigh: 1024 + ports - 1 };
        const plan = makePlan(request({ connections, gateway: null }, host));
        const sum = plan.shares.reduce((total, share) => total + share.connections, 0);
        assert.equal(sum, connections);
        const addresses = plan.shares.flatMap((share) => share.sources);
        assert.equal(new Set(addresses).size, addresses.length);
        assert.deepEqual(addresses, plan.sourceAddresses);
        for (const address of addresses) assert.match(address, /^127\.(?!0\.0\.)\d+\.\d+\.(?!0$|255$)\d+$/);
        for (const share of plan.shares) {
          assert(share.connections >= 1 && share.connections < nofileHard);
          assert(share.connections / share.sources.length <= ports / 2);
        }
        assert(plan.lanes >= 1 && plan.lanes <= plan.shares.length);
      }),
    );
  });

  it("subtracts reserved ports before it halves the range", () => {
    const sources = (portsReserved: number): number =>
      makePlan(request({ connections: 14_000, generators: 1 }, { portsReserved })).sourceAddresses.length;
    assert.equal(sources(0), 1);
    assert.equal(sources(300), 2);
  });

  it("asks for the whole range on each socket only where addresses are short", () => {
    const few = makePlan(request({ connections: 10_000, target: remote, gateway: null }));
    assert.deepEqual([few.portRange, few.sourceAddresses], [null, []]);
    const many = makePlan(request({ connections: 20_000, target: remote, gateway: null }));
    assert.deepEqual(many.portRange, [32_768, 60_999]);
    const named = makePlan(
      request({ connections: 20_000, target: remote, sourceAddresses: ["192.0.2.7", "192.0.2.8"] }),
    );
    assert.deepEqual([named.portRange, named.shares[1]?.sources], [null, ["192.0.2.7", "192.0.2.8"]]);
  });

  it("takes the gateway's listen queues for the number in flight, unless it is given", () => {
    assert.equal(makePlan(request({ gateway: { workers: 4, nofile: 1e6, sameUser: true } })).inFlight, 1024);
    assert.equal(makePlan(request({ gateway: null })).inFlight, 256);
    assert.equal(makePlan(request({ inFlight: 77 })).inFlight, 77);
    assert.equal(makePlan(request({ connections: 3 })).inFlight, 3);
  });

  it("refuses by name: descriptors, the gateway's descriptors, ports", () => {
    assert.match(
      refusal(request({ generators: 50 })),
      /^not enough descriptors \(hard nofile.*: 20,000 available, 20,100.*--generators 51/s,
    );
    assert.match(
      refusal(request({ gateway: { workers: 2, nofile: 20_000, sameUser: true } })),
      /descriptors of the gateway.*takes 53 workers/s,
    );
    assert.match(
      refusal(request({ connections: 30_000, target: remote })),
      /^not enough ports.*28,232 available, 30,000 needed/,
    );
  });

  it("refuses by name: open files, epoll registrations, threads, connection tracking, memory", () => {
    assert.match(
      refusal(request({}, { fileMax: 1_500_000 })),
      /fs\.file-max; both ends.*sysctl -w fs\.file-max=2300000/s,
    );
    assert.match(refusal(request({}, { epollWatches: 1_900_000 })), /max_user_watches=2200000/);
    assert.match(refusal(request({}, { pidMax: 700 })), /kernel\.pid_max/);
    assert.match(
      refusal(request({}, { conntrackCount: 1 })),
      /nf_conntrack_max\): 262,143 available, 1,050,000 needed/,
    );
    assert.match(refusal(request({}, { freeBytes: 9e9 })), /bytes of memory.*8,000,000,000 available.*--memory-floor/s);
  });

  it("counts only its own end's epoll registrations where the gateway is another user's", () => {
    const gateway = { workers: 53, nofile: 20_000, sameUser: false };
    assert.ok(makePlan(request({ gateway }, { epollWatches: 1_100_000 })));
    assert.match(refusal(request({ gateway }, { epollWatches: 1_000_000 })), /max_user_watches=1100000/);
  });

  it("with force plans a run that cannot succeed, except beyond epoll registrations that both ends share", () => {
    const short = { fileMax: 1000, pidMax: 700, conntrackCount: 1, freeBytes: 1e9 };
    const forced = request(
      { force: true, generators: 2, gateway: { workers: 1, nofile: 1024, sameUser: true } },
      short,
    );
    assert.deepEqual(
      makePlan(forced).shares.map(({ connections }) => connections),
      [500_000, 500_000],
    );
    const few = makePlan(request({ force: true, sourceAddresses: ["127.0.0.1"] }));
    assert.deepEqual([few.portRange, few.sourceAddresses], [[32_768, 60_999], ["127.0.0.1"]]);
    assert.match(refusal(request({ force: true }, { epollWatches: 1_900_000 })), /max_user_watches/);
  });

  it("does not refuse for limits that do not apply: file-max for root, tracking that is off, a gateway elsewhere", () => {
    assert.ok(makePlan(request({}, { root: true, fileMax: 1000 })));
    assert.ok(makePlan(request({}, { conntrackMax: 1000 })));
    const sources = Array.from({ length: 40 }, (_, i) => `192.0.2.${i + 1}`);
    assert.ok(
      makePlan(request({ target: remote, sourceAddresses: sources, gateway: null }, { epollWatches: 1_100_000 })),
    );
  });
});
