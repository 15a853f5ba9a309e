/**
 * What a connection costs: the growth of the gateway's private memory and of kernel slab between idle and fully open, and
 * the generators' own memory, each divided by the open connections. Runs in the coordinator.
 * PSS of anonymous pages, because idle Node processes share much of their memory: RSS would count that for each.
 */

import type { MachineReader } from "../../sysctl/kernel/machine.js";
import type { Evidence } from "../evidence/evidence.js";
import type { GatewayProcess } from "./target.js";

/**
 * What must be left of a control group's memory, at its limit of which the kernel kills without an error before it: the floor of
 * the machine would be more than many a container has.
 */
export const groupFloorBytes = (limit: number, memoryFloorBytes: number): number =>
  Math.min(memoryFloorBytes, Math.ceil(limit / 10));

interface Sample {
  readonly gatewayBytes: number | undefined;
  /** The hub process alone. */
  readonly hubBytes: number | undefined;
  readonly generatorBytes: number | undefined;
  readonly slabBytes: number;
}

export class MemoryAccount {
  private base: Sample | undefined;
  private full: Sample | undefined;
  private after: Sample | undefined;
  private open = 0;

  constructor(
    private readonly host: MachineReader,
    private readonly gateway: readonly GatewayProcess[],
    /** `hidden`: the gateway named processes that are not its own as they are seen from here. */
    private readonly where: { readonly colocated: boolean; readonly hidden: boolean },
  ) {}

  /** Before the first connection, generators running. */
  takeBase(): void {
    this.base = this.sample([]);
  }

  /** After the last connection, before anything else. */
  takeFull(generatorPids: readonly number[], open: number): void {
    this.full = this.sample(generatorPids);
    this.open = open;
  }

  /** After the broadcasts: topics remember them. */
  takeAfter(): void {
    this.after = this.sample([]);
  }

  evidence(minFreeBytes: number): Evidence["memory"] {
    const { base, full, after, open } = this;
    const each = (before: number | undefined, after: number | undefined): number | null =>
      before === undefined || after === undefined || open === 0 ? null : Math.round((after - before) / open);
    return {
      userBytesPerConnection: each(base?.gatewayBytes, full?.gatewayBytes),
      hubBytesPerConnection: each(base?.hubBytes, full?.hubBytes),
      afterBroadcasts: {
        userBytesPerConnection: each(base?.gatewayBytes, after?.gatewayBytes),
        hubBytesPerConnection: each(base?.hubBytes, after?.hubBytes),
      },
      kernelBytesPerConnection: each(base?.slabBytes, full?.slabBytes),
      generatorBytesPerConnection: each(0, full?.generatorBytes),
      baseBytes: base?.gatewayBytes ?? null,
      minFreeBytes,
      notes: this.notes(),
    };
  }

  private notes(): string[] {
    const { base } = this;
    const ends = this.where.colocated
      ? "both ends of each connection"
      : "the client ends only, because the gateway is elsewhere";
    const notes = [
      `kernel bytes are the growth of Slab in /proc/meminfo, for ${ends}`,
      "generator bytes are all of their private memory, shared out",
    ];
    if (base?.gatewayBytes !== undefined) {
      notes.push(
        "gateway bytes are the growth of its private memory: less than the truth if it has held connections before",
      );
    }
    if (!this.where.colocated) notes.push("the gateway's memory is unknown: it runs on another host");
    else if (this.where.hidden)
      notes.push("the gateway's memory is unknown: its processes are of another PID namespace, as in a container");
    else if (this.gateway.length === 0)
      notes.push("the gateway's memory is unknown: its admin address was not reachable");
    else if (base?.gatewayBytes === undefined)
      notes.push("the gateway's memory is unknown: /proc/PID/smaps_rollup could not be read");
    if (!this.full) notes.push("the run ended before memory could be measured");
    return notes;
  }

  private sample(generatorPids: readonly number[]): Sample {
    const known = this.where.colocated && this.gateway.length > 0;
    const bytes = (of: readonly GatewayProcess[]): number | undefined =>
      known ? this.host.anonymousBytes(of.map(({ pid }) => pid)) : undefined;
    return {
      gatewayBytes: bytes(this.gateway),
      hubBytes: bytes(this.gateway.filter(({ role }) => role === "hub")),
      generatorBytes: this.host.anonymousBytes(generatorPids),
      slabBytes: this.host.memory().slabBytes,
    };
  }
}
