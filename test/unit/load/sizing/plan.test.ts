/** The sums of a plan against what was measured, against each other, and against the bounds. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { serversFor } from "../../../../load/sizing/bounds.js";
import { CLIENT_PORTS, type Demand, type ServerMachine } from "../../../../load/sizing/demand.js";
import { workedPlan } from "../../../../load/sizing/examples.js";
import { onWire } from "../../../../load/sizing/frames.js";
import { readMeasured } from "../../../../load/sizing/measured.js";
import { planOf, type SizingPlan, type SizingRequest } from "../../../../load/sizing/plan.js";
import { settle } from "../../../../load/sizing/settle.js";
import { figuresOf } from "../../../../load/sizing/sums.js";
import { fullestWorker, workerCap } from "../../../../src/config/capacity.js";
import { GatewayError } from "../../../../src/errors.js";

const DEMAND: Demand = {
  connections: 1_000_000,
  topics: 1,
  subscriptions: 1,
  messageBytes: 100,
  perMinute: 1,
  tls: false,
  heartbeatSeconds: 0,
  stalledPercent: 5,
  clientsHere: false,
};
const MACHINE: ServerMachine = {
  cores: 2,
  memoryBytes: 25_276_514_304,
  nofile: 20_000,
  nicGbit: 10,
  portsPerAddress: CLIENT_PORTS,
};
const REQUEST: SizingRequest = { demand: DEMAND, machine: MACHINE, servers: 1, spare: 0, evidence: undefined };

const plan = (demand: Partial<Demand>, rest: Partial<SizingRequest> = {}): SizingPlan =>
  planOf({ ...REQUEST, ...rest, demand: { ...DEMAND, ...demand } });
const near = (value: number, wanted: number, part: number): void =>
  assert.ok(Math.abs(value - wanted) <= part * wanted, `${value} is not within ${part} of ${wanted}`);

describe("the plan for the million that was measured", () => {
  const evidence = readMeasured("load/results/2026-11-23-million-with-history.json", true);
  // What the run took: 25.28 GB in the machine, of which 12.16 GB were free at the least. No reader stalled.
  const tookBytes = MACHINE.memoryBytes - 12_164_501_504;

  for (const [by, file] of [
    ["its own constants", evidence],
    ["the shipped constants", undefined],
  ] as const) {
    it(`has its memory and broadcast time, by ${by}`, () => {
      const { perServer, fits } = plan({ clientsHere: true, stalledPercent: 0 }, { evidence: file });
      near(perServer.memory.total, tookBytes, 0.15);
      assert.ok(fits);
      const { oneToAllSeconds, reconnectSeconds } = perServer.times;
      assert.ok(oneToAllSeconds > 10.8 / 2 && oneToAllSeconds < 10.8 * 2, `broadcast in ${oneToAllSeconds} s`);
      assert.ok(reconnectSeconds > 41.6 / 2 && reconnectSeconds < 41.6 * 2, `all open in ${reconnectSeconds} s`);
      assert.equal(perServer.processes.workers, 53);
      assert.equal(perServer.processes.generators, 51);
    });
  }

  it("by its own constants has the slowest broadcast to a tenth", () => {
    near(plan({ clientsHere: true }, { evidence }).perServer.times.oneToAllSeconds, 10.8, 0.1);
  });
});

describe("the sums", () => {
  const given = (demand: Partial<Demand>) => ({
    demand: { ...DEMAND, ...demand },
    machine: MACHINE,
    constants: settle().values,
  });

  it("never shrink when connections, messages, topics, stalled readers or TLS are added", () => {
    const demands = fc.record({
      connections: fc.integer({ min: 1000, max: 50_000_000 }),
      topics: fc.integer({ min: 1, max: 1000 }),
      perMinute: fc.integer({ min: 0, max: 600 }),
      messageBytes: fc.integer({ min: 1, max: 12_000 }),
      stalledPercent: fc.integer({ min: 0, max: 50 }),
      heartbeatSeconds: fc.integer({ min: 0, max: 300 }),
    });
    const more = fc.constantFrom<(d: Demand) => Demand>(
      (d) => ({ ...d, connections: d.connections + 12_345 }),
      (d) => ({ ...d, topics: d.topics * 2 }),
      (d) => ({ ...d, perMinute: d.perMinute + 7 }),
      (d) => ({ ...d, stalledPercent: d.stalledPercent + 1 }),
      (d) => ({ ...d, tls: true }),
    );
    fc.assert(
      fc.property(demands, more, (some, add) => {
        const before = { ...DEMAND, ...some };
        const after = add(before);
        const one = figuresOf(given(before), before.connections);
        const two = figuresOf(given(after), after.connections);
        assert.ok(two.memory.total >= one.memory.total, `memory ${one.memory.total} became ${two.memory.total}`);
        assert.ok(two.cpu.total >= one.cpu.total, `cpu ${one.cpu.total} became ${two.cpu.total}`);
        assert.ok(two.network.outGbit >= one.network.outGbit);
        assert.ok(Number.isFinite(two.times.oneToAllSeconds) && Number.isFinite(two.times.workerBusySeconds));
      }),
    );
  });

  it("add up: the parts of memory are the whole, and deliveries are connections by rate", () => {
    const { memory, traffic } = figuresOf(
      given({ topics: 1000, subscriptions: 4, perMinute: 6, tls: true }),
      1_000_000,
    );
    near(memory.user + memory.kernel + memory.buffers + memory.clients + memory.log, memory.total, 1e-9);
    assert.equal(traffic.deliveriesPerSecond, 100_000);
    assert.equal(traffic.subscribersOfTopic, 4000);
    near(traffic.publicationsPerSecond * traffic.subscribersOfTopic, traffic.deliveriesPerSecond, 1e-9);
  });

  it("remember by the least of count, age and bytes, and nothing where nothing is sent", () => {
    const remembered = (demand: Partial<Demand>): number => figuresOf(given(demand), 1_000_000).memory.remembered;
    assert.equal(remembered({ perMinute: 0 }), 0);
    assert.equal(remembered({ perMinute: 1 }), 5);
    assert.equal(remembered({ perMinute: 6000 }), 100);
    assert.equal(remembered({ perMinute: 6000, messageBytes: 12_000 }), 6);
  });

  it("count a ping for clients that are silent for longer than the gateway waits", () => {
    const beats = (heartbeatSeconds: number): number =>
      figuresOf(given({ heartbeatSeconds }), 1_040_000).traffic.beatsPerSecond;
    assert.equal(beats(0), 10_000);
    assert.equal(beats(52), 20_000);
    assert.equal(beats(208), 15_000);
  });

  it("frame a message as it goes over the wire", () => {
    // 100 + 2 in WebSocket, 52 TCP/IP, 38 Ethernet.
    assert.deepEqual(onWire(100, false), { bytes: 192, packets: 1 });
    assert.deepEqual(onWire(100, true), { bytes: 214, packets: 1 });
    assert.deepEqual(onWire(100, false, true), { bytes: 196, packets: 1 });
    assert.deepEqual(onWire(126, false), { bytes: 220, packets: 1 });
    assert.deepEqual(onWire(1445, false), { bytes: 1629, packets: 2 });
  });
});

describe("bounds and servers", () => {
  it("name the lowest bound first, with its exact count", () => {
    const { bounds } = plan({});
    const first = bounds[0]!;
    assert.equal(first.resource, "memory");
    assert.ok(plan({ connections: first.connections! }).fits);
    assert.ok(!plan({ connections: first.connections! + 1 }).fits);
  });

  it("computed servers are enough, and one fewer is not", () => {
    const demand = { connections: 100_000_000 };
    const { servers, fits, fleet, perServer } = plan(demand, { servers: 0, spare: 2 });
    assert.ok(servers !== null && fits && fleet);
    assert.equal(perServer.connections, Math.ceil(100_000_000 / (servers - 2)));
    assert.ok(plan(demand, { servers: servers - 2 }).fits);
    assert.ok(!plan(demand, { servers: servers - 3 }).fits);
    assert.ok(perServer.processes.fullest <= workerCap(MACHINE.nofile));
    assert.equal(perServer.processes.fullest, fullestWorker(perServer.connections, perServer.processes.workers));
  });

  it("more publications than a hub can number are too many for any number of servers", () => {
    const { servers, fits, bounds } = plan({ topics: 1_000_000, perMinute: 60 }, { servers: 0 });
    assert.equal(servers, null);
    assert.ok(!fits && bounds.some(({ resource, fits: does }) => resource === "hub" && !does));
    const given = {
      demand: { ...DEMAND, topics: 1_000_000, perMinute: 60 },
      machine: MACHINE,
      constants: settle().values,
    };
    assert.equal(serversFor(given), null);
  });

  it("refuse contradictions, all in one error", () => {
    const machine = { ...MACHINE, nofile: 512 };
    assert.throws(
      () => plan({ topics: 3, subscriptions: 5, clientsHere: true }, { servers: 2, spare: 2, machine }),
      (error: unknown) => {
        assert.ok(error instanceof GatewayError && error.kind === "config");
        for (const flag of ["--subscriptions 5", "--spare-servers 2", "--clients-here", "--nofile"]) {
          assert.ok(error.detail.includes(flag), `${flag} is not in: ${error.detail}`);
        }
        return true;
      },
    );
    assert.throws(() => plan({ connections: 10, topics: 11 }), /--topics 11/);
  });

  it("the worked plans fit, with the spare server down", () => {
    const [ten, hundred] = [workedPlan("10m"), workedPlan("100m")];
    assert.ok(ten.fits && ten.servers === 1 && ten.perServer.connections === 10_000_000);
    assert.ok(hundred.fits && hundred.servers !== null && hundred.spare === 1 && hundred.fleet);
    assert.ok(hundred.perServer.connections * (hundred.servers - 1) >= 100_000_000);
  });
});
