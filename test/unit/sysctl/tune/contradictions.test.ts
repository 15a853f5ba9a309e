/** What a host cannot give to a plan: sysctl/tune/contradictions.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KernelPlan } from "../../../../sysctl/plan.js";
import { MILLION } from "../../../../sysctl/remedies/render.js";
import { contradictions } from "../../../../sysctl/tune/contradictions.js";
import { inFixture, type KernelFaults, procSysOf, STOCK, type Values } from "../fixture.js";

function found(
  plan: Partial<KernelPlan>,
  faults: KernelFaults = {},
  values: Values = STOCK,
  allowLowering = false,
): string[] {
  return inFixture(values, (fixture) =>
    contradictions({ ...MILLION, ...plan }, procSysOf(fixture, faults), allowLowering),
  );
}

describe("contradictions", () => {
  it("are none for the million, whatever may be written here", () => {
    assert.deepEqual(found({}), []);
    const denied = Object.fromEntries(Object.keys(STOCK).map((key) => [key, "EROFS"]));
    assert.deepEqual(found({}, { denied }), []);
    assert.deepEqual(found({ nofileWanted: 2_000_000 }, { denied, isRoot: false }), []);
  });

  it("are descriptors above an nr_open that cannot be raised, and not above one that can", () => {
    assert.deepEqual(found({ nofileWanted: 2_000_000 }), []);
    const [only, ...more] = found({ nofileWanted: 2_000_000 }, { denied: { "fs.nr_open": "EACCES" } });
    assert.match(only ?? "", /2,000,000 .*above fs\.nr_open \(1,048,576\).*EACCES.*at most 1048576 with --nofile/);
    assert.deepEqual(more, []);
  });

  it("are descriptors below the present limit, unless lowering is allowed", () => {
    assert.match(
      found({ nofileWanted: 5000 })[0] ?? "",
      /5,000 is below the present hard limit of 20,000.*--allow-lowering/,
    );
    assert.deepEqual(found({ nofileWanted: 5000 }, {}, STOCK, true), []);
  });

  it("are TCP queues beyond the memory of the host", () => {
    const [only] = found({ connections: 20_000_000 });
    assert.match(
      only ?? "",
      /tcp_mem.*20,000,000 connections may need 29\.0 GB, this host has 25\.8 GB.*--connections/,
    );
  });

  it("are ports in the ephemeral range that cannot be reserved", () => {
    const denied = { "net.ipv4.ip_local_reserved_ports": "EROFS" };
    const listenPorts = [8080, 40_000, 40_001];
    assert.deepEqual(found({ listenPorts }), []);
    assert.match(found({ listenPorts }, { denied })[0] ?? "", /--ports: 40000, 40001 within .* 10000–65535/);
    const reserved = { ...STOCK, "net.ipv4.ip_local_reserved_ports": "40000-40010" };
    assert.deepEqual(found({ listenPorts }, { denied }, reserved), []);
  });

  it("measure ports against the range as it stays where the clients are elsewhere", () => {
    const denied = { "net.ipv4.ip_local_reserved_ports": "EROFS" };
    assert.deepEqual(found({ listenPorts: [20_000], coLocated: false }, { denied }), []);
    assert.equal(found({ listenPorts: [20_000] }, { denied }).length, 1);
  });

  it("are reported together", () => {
    const denied = { "fs.nr_open": "EACCES", "net.ipv4.ip_local_reserved_ports": "EROFS" };
    assert.equal(
      found({ connections: 40_000_000, nofileWanted: 3_000_000, listenPorts: [50_000] }, { denied }).length,
      3,
    );
  });
});
