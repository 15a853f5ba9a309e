/** The recorded hosts of test/fixtures/hosts, each asked as `megagate doctor` asks. Used by the tests of this folder only. */

import { join } from "node:path";
import type { DoctorPlan } from "../../../../sysctl/doctor/ceiling.js";

import { type Ceiling, ceilingsOf, type LimitId } from "../../../../sysctl/doctor/ceilings.js";
import { survey } from "../../../../sysctl/doctor/survey.js";
import type { MachineFacts } from "../../../../sysctl/kernel/facts.js";

export const HOSTS = [
  "debian-vm",
  "systemd-service",
  "docker-container",
  "kubernetes-pod",
  "host-4gib",
  "host-64-cores",
] as const;
export type HostName = (typeof HOSTS)[number];

export const rootOf = (host: HostName): string => join("test/fixtures/hosts", host);

/** A firewall tracks connections on the big host alone; there the probe would see its count move. */
export const tracksAt = (host: HostName): boolean => host === "host-64-cores";

export const factsOf = (host: HostName, changes: Partial<MachineFacts> = {}): MachineFacts => ({
  ...survey(rootOf(host), tracksAt(host)),
  ...changes,
});

export const PLAN: DoctorPlan = {
  connections: 1_000_000,
  side: "server",
  listenPorts: [8080, 8081],
  sources: 0,
  destinations: 1,
  open: 0,
};

/** One limit's row, for a host as recorded but for `changes`. */
export function ceilingAt(limit: LimitId, facts: MachineFacts, plan: Partial<DoctorPlan> = {}): Ceiling {
  const found = ceilingsOf(facts, { ...PLAN, ...plan }).find((row) => row.limit === limit);
  if (!found) throw new Error(`no row ${limit}`);
  return found;
}
