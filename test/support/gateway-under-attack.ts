/** A gateway of two workers with honest clients on both, under attack: what each kind of attack must not do, and what must be counted. */
import assert from "node:assert/strict";
import { Gateway } from "./gateway.js";
import { LatencyProbe } from "./latency-probe.js";
import { until } from "./wait.js";

/** Longest that an honest client may wait for a heartbeat or a push meanwhile, on two cores shared with everything else. */
const MAX_DELAY_MS = 2000;

export class GatewayUnderAttack {
  readonly #honest: LatencyProbe;
  readonly #pids: readonly number[];

  private constructor(
    readonly gateway: Gateway,
    honest: LatencyProbe,
    pids: readonly number[],
  ) {
    this.#honest = honest;
    this.#pids = pids;
  }

  static async start(...args: string[]): Promise<GatewayUnderAttack> {
    const gateway = await Gateway.start("--workers", "2", ...args);
    const pids = (await gateway.processes()).map(({ pid }) => pid);
    return new GatewayUnderAttack(gateway, await LatencyProbe.start(gateway), pids);
  }

  /** Runs the attack; honest clients are served during and after it; `metric` rises by `by` or, with `atLeast`, more. */
  async under<T>(
    attack: Promise<T>,
    counted?: { metric: string; by: number; atLeast?: boolean; from: number },
  ): Promise<T> {
    const { heartbeats, pushes } = await this.#honest.during(attack);
    const longest = Math.max(...heartbeats, ...pushes);
    assert.ok(longest < MAX_DELAY_MS, `an honest client waited ${longest} ms`);
    if (counted) {
      const { metric, by, from, atLeast = false } = counted;
      const rise = async (): Promise<number> => (await this.gateway.metric(metric)) - from;
      await until(metric, rise, (n) => n === by || (atLeast && n > by));
    }
    return await attack;
  }

  /** The same, with the metric read before the attack begins. */
  async counting<T>(metric: string, by: number, attack: () => Promise<T>, atLeast = false): Promise<T> {
    const from = await this.gateway.metric(metric);
    return await this.under(attack(), { metric, by, from, atLeast });
  }

  /** Nothing of the attackers is left, nobody died, and honest clients are served still. */
  async end(): Promise<void> {
    await this.#honest.alone();
    await this.under(new Promise((resolve) => setTimeout(resolve, 100)));
    assert.deepEqual(
      (await this.gateway.processes()).map(({ pid }) => pid),
      this.#pids,
    );
    assert.equal(await this.gateway.metric("megagate_worker_restarts_total"), 0);
    await this.#honest.end();
    await this.gateway[Symbol.asyncDispose]();
  }
}

export const closedFor = (reason: string): string => `megagate_closed_total{reason="${reason}"}`;
export const refusedFor = (reason: string): string => `megagate_refused_total{reason="${reason}"}`;
export const adminRefusedFor = (reason: string): string => `megagate_admin_refused_total{reason="${reason}"}`;
