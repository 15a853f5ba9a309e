/**
 * The scrape: the catalogue's rows as prom-client gauges and counters, filled with what the hub process already has.
 * A scrape asks no worker: one in the middle of a broadcast could take seconds to answer. Hub process only.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { KERNEL_BYTES_PER_SERVER_SOCKET } from "../config/capacity.js";
import { HUB_METRICS, type Metric, SLOT_NAMES, WORKER_METRICS } from "./catalog.js";
import type { Fleet } from "./fleet.js";
import type { MemoryGauge } from "./memory.js";

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The present values of every hub metric; with this type a missing row does not compile. */
export type HubSamples = Readonly<Record<keyof typeof HUB_METRICS, () => Sample[] | number>>;

export function createRegistry(fleet: Fleet, hub: HubSamples): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  // It reads the list of descriptors at each scrape: 27 ms with 19,000 (measured).
  registry.removeSingleMetric("process_open_fds");
  // Gauges with the suffix of counters, of which `promtool check metrics` complains; nodejs_active_handles etc. have the same by type.
  for (const kind of ["handles", "requests", "resources"]) registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  for (const [name, slots] of slotsByMetric()) {
    const metric: Metric = WORKER_METRICS[slots[0]!];
    register(registry, { ...metric, name }, () =>
      slots.map((slot) => {
        const values = (WORKER_METRICS[slot] as { values?: Record<string, string> }).values;
        return { value: fleet.total(slot), ...(values && { labels: values }) };
      }),
    );
  }
  for (const [key, metric] of Object.entries(HUB_METRICS)) {
    register(registry, metric, () => {
      const samples = hub[key as keyof typeof HUB_METRICS]();
      return typeof samples === "number" ? [{ value: samples }] : samples;
    });
  }
  return registry;
}

function slotsByMetric(): Map<string, (typeof SLOT_NAMES)[number][]> {
  const slots = new Map<string, (typeof SLOT_NAMES)[number][]>();
  for (const slot of SLOT_NAMES) {
    const { name } = WORKER_METRICS[slot];
    slots.set(name, [...(slots.get(name) ?? []), slot]);
  }
  return slots;
}

function register(registry: Registry, metric: Metric, samples: () => readonly Sample[]): void {
  const shape = { name: metric.name, help: metric.help, labelNames: metric.labels ?? [], registers: [registry] };
  if (metric.type === "counter") {
    new Counter({
      ...shape,
      collect() {
        this.reset();
        for (const { labels, value } of samples()) this.inc(labels ?? {}, value);
      },
    });
  } else {
    new Gauge({
      ...shape,
      collect() {
        this.reset();
        for (const { labels, value } of samples()) this.set(labels ?? {}, value);
      },
    });
  }
}

/** Samples of the memory rows. */
export function memorySamples(memory: MemoryGauge, connections: number): { total: Sample[]; each: Sample[] } {
  const kernel = connections * KERNEL_BYTES_PER_SERVER_SOCKET;
  return {
    total: [
      { labels: { kind: "user" }, value: memory.bytes },
      { labels: { kind: "kernel" }, value: kernel },
    ],
    each: [
      { labels: { kind: "user" }, value: memory.perConnection(connections) },
      { labels: { kind: "kernel" }, value: connections === 0 ? 0 : KERNEL_BYTES_PER_SERVER_SOCKET },
    ],
  };
}
