/**
 * What a connection costs: the growth of the gateway's private memory and of kernel slab between idle and fully open, and
 * the generators' own memory, each divided by the open connections. Runs in the coordinator.
 * PSS of anonymous pages, because idle Node processes share much of their memory: RSS would count that for each.
 */
import type { Evidence } from "./evidence.js";
import type { Host } from "./host.js";

interface Sample {
  readonly gatewayBytes: number | undefined;
  readonly generatorBytes: number | undefined;
  readonly slabBytes: number;
}

export class MemoryAccount {
  private base: Sample | undefined;
  private full: Sample | undefined;
  private open = 0;

  constructor(
    private readonly host: Host,
    private readonly gatewayPids: readonly number[],
    private readonly colocated: boolean,
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

  evidence(minFreeBytes: number): Evidence["memory"] {
    const { base, full, open } = this;
    const each = (before: number | undefined, after: number | undefined): number | null =>
      before === undefined || after === undefined || open === 0 ? null : Math.round((after - before) / open);
    return {
      userBytesPerConnection: each(base?.gatewayBytes, full?.gatewayBytes),
      kernelBytesPerConnection: each(base?.slabBytes, full?.slabBytes),
      generatorBytesPerConnection: each(0, full?.generatorBytes),
      baseBytes: base?.gatewayBytes ?? null,
      minFreeBytes,
      notes: this.notes(),
    };
  }

  private notes(): string[] {
    const { base } = this;
    const ends = this.colocated
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
    if (!this.colocated) notes.push("the gateway's memory is unknown: it runs on another host");
    else if (this.gatewayPids.length === 0)
      notes.push("the gateway's memory is unknown: its admin address was not reachable");
    else if (base?.gatewayBytes === undefined)
      notes.push("the gateway's memory is unknown: /proc/PID/smaps_rollup could not be read");
    if (!this.full) notes.push("the run ended before memory could be measured");
    return notes;
  }

  private sample(generatorPids: readonly number[]): Sample {
    const known = this.colocated && this.gatewayPids.length > 0;
    return {
      gatewayBytes: known ? this.host.anonymousBytes(this.gatewayPids) : undefined,
      generatorBytes: this.host.anonymousBytes(generatorPids),
      slabBytes: this.host.memory().slabBytes,
    };
  }
}
