/**
 * Memory per connection: the growth of the gateway's private memory and of kernel slab between idle and fully open, and
 * the generators' own memory, each divided by the number of open connections. Runs in the coordinator.
 * It measures PSS of anonymous pages: idle Node processes share much of their memory, which RSS would count for each.
 */
import type { MachineReader } from "../../sysctl/kernel/machine.js";
import type { Evidence } from "../evidence/evidence.js";
import type { GatewayProcess } from "./target.js";

/**
 * How much of a control group's memory must stay free: at the group's limit the kernel kills without any error before. A tenth
 * of the limit, because many containers have less memory than the machine's floor.
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

export class ConnectionMemory {
  readonly #host: MachineReader;
  readonly #gateway: readonly GatewayProcess[];
  readonly #where: { readonly colocated: boolean; readonly hidden: boolean };
  #base: Sample | undefined;
  #full: Sample | undefined;
  #after: Sample | undefined;
  #open = 0;

  constructor(
    host: MachineReader,
    gateway: readonly GatewayProcess[],
    /** `hidden`: the pids that the gateway named belong to other processes here, as with a gateway in a container. */
    where: { readonly colocated: boolean; readonly hidden: boolean },
  ) {
    this.#host = host;
    this.#gateway = gateway;
    this.#where = where;
  }

  /** Before the first connection, generators running. */
  takeBase(): void {
    this.#base = this.#sample([]);
  }

  /** After the last connection, before anything else. */
  takeFull(generatorPids: readonly number[], open: number): void {
    this.#full = this.#sample(generatorPids);
    this.#open = open;
  }

  /** After the broadcasts, which topics now remember. */
  takeAfter(): void {
    this.#after = this.#sample([]);
  }

  evidence(minFreeBytes: number): Evidence["memory"] {
    const base = this.#base;
    const full = this.#full;
    const after = this.#after;
    const open = this.#open;
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
      notes: this.#notes(),
    };
  }

  #notes(): string[] {
    const base = this.#base;
    const ends = this.#where.colocated
      ? "both ends of each connection"
      : "the client ends only, because the gateway is elsewhere";
    const notes = [
      `kernel bytes are the growth of Slab in /proc/meminfo, for ${ends}`,
      "generator bytes are all of their private memory, divided by the connections",
    ];
    if (base?.gatewayBytes !== undefined) {
      notes.push("gateway bytes are the growth of its private memory: too low if it has held connections before");
    }
    if (!this.#where.colocated) notes.push("the gateway's memory is unknown: it runs on another host");
    else if (this.#where.hidden)
      notes.push("the gateway's memory is unknown: its processes are of another PID namespace, as in a container");
    else if (this.#gateway.length === 0)
      notes.push("the gateway's memory is unknown: its admin address was not reachable");
    else if (base?.gatewayBytes === undefined)
      notes.push("the gateway's memory is unknown: /proc/PID/smaps_rollup could not be read");
    if (!this.#full) notes.push("the run ended before memory could be measured");
    return notes;
  }

  #sample(generatorPids: readonly number[]): Sample {
    const known = this.#where.colocated && this.#gateway.length > 0;
    const bytes = (of: readonly GatewayProcess[]): number | undefined =>
      known ? this.#host.anonymousBytes(of.map(({ pid }) => pid)) : undefined;
    return {
      gatewayBytes: bytes(this.#gateway),
      hubBytes: bytes(this.#gateway.filter(({ role }) => role === "hub")),
      generatorBytes: this.#host.anonymousBytes(generatorPids),
      slabBytes: this.#host.memory().slabBytes,
    };
  }
}
