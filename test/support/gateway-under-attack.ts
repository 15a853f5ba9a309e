/** A gateway of two workers with well-behaved clients on both, under attack: checks that they are served, and what is counted. */
import assert from "node:assert/strict";
import { Gateway } from "./gateway.js";
import { LatencyProbe } from "./latency-probe.js";
import { until } from "./wait.js";

/** The longest that a well-behaved client may wait for a heartbeat or a push, on two cores shared with everything else. */
const MAX_DELAY_MS = 2000;

export class GatewayUnderAttack {
  readonly #probe: LatencyProbe;
  readonly #pids: readonly number[];

  private constructor(
    readonly gateway: Gateway,
    probe: LatencyProbe,
    pids: readonly number[],
  ) {
    this.#probe = probe;
    this.#pids = pids;
  }

  static async start(...args: string[]): Promise<GatewayUnderAttack> {
    const gateway = await Gateway.start("--workers", "2", ...args);
    const pids = (await gateway.processes()).map(({ pid }) => pid);
    return new GatewayUnderAttack(gateway, await LatencyProbe.start(gateway), pids);
  }

  /** Runs the attack. The probe must be served during it, and `metric` must rise by `by` or, with `atLeast`, more. */
  async under<T>(
    attack: Promise<T>,
    counted?: { metric: string; by: number; atLeast?: boolean; from: number },
  ): Promise<T> {
    const { heartbeats, pushes } = await this.#probe.during(attack);
    const longest = Math.max(...heartbeats, ...pushes);
    assert.ok(longest < MAX_DELAY_MS, `a client of the probe waited ${longest} ms`);
    if (counted) {
      const { metric, by, from, atLeast = false } = counted;
      const rise = async (): Promise<number> => (await this.gateway.metric(metric)) - from;
      await until(metric, rise, (n) => n === by || (atLeast && n > by));
    }
    return await attack;
  }

  /** The same, with the metric read before the attack begins. */
  async expectCounted<T>(metric: string, by: number, attack: () => Promise<T>, atLeast = false): Promise<T> {
    const from = await this.gateway.metric(metric);
    return await this.under(attack(), { metric, by, from, atLeast });
  }

  /** Nothing of the attackers is left, no process died, and the probe is still served. */
  async end(): Promise<void> {
    await this.#probe.alone();
    await this.under(new Promise((resolve) => setTimeout(resolve, 100)));
    assert.deepEqual(
      (await this.gateway.processes()).map(({ pid }) => pid),
      this.#pids,
    );
    assert.equal(await this.gateway.metric("megagate_worker_restarts_total"), 0);
    await this.#probe.end();
    await this.gateway[Symbol.asyncDispose]();
  }
}

export const closedFor = (reason: string): string => `megagate_closed_total{reason="${reason}"}`;
export const refusedFor = (reason: string): string => `megagate_refused_total{reason="${reason}"}`;
export const adminRefusedFor = (reason: string): string => `megagate_admin_refused_total{reason="${reason}"}`;
