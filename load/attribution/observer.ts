/**
 * Watches one ramp for the mechanism that may end it. It samples the kernel's counters before the ramp and once a second, and
 * the gateway's own numbers before the ramp and while the curve is flat. Gives a hint meanwhile and the plateau at the end.
 * Runs in the coordinator; sysctl/attribution/causes.ts decides what the numbers mean.
 */
import { attribute, causeInWords } from "../../sysctl/attribution/attribute.js";
import type { Snapshot, SnapshotName } from "../../sysctl/attribution/counters.js";
import type { Circumstances, GatewayNumbers, View } from "../../sysctl/attribution/proofs.js";
import type { Tally } from "../generator/messages.js";
import { type Curve, findFlat, ratesAround } from "./curve.js";
import type { Plateau } from "./plateau.js";

const POLL_EVERY_MS = 1000;

/** What the run itself has counted at one moment. */
export interface Moment {
  readonly open: number;
  readonly failed: Tally;
  readonly freeBytes: number;
  readonly floorBytes: number;
}

export interface Sources {
  readonly kernel: () => Snapshot;
  /** Null when the gateway does not answer. */
  readonly gateway: () => Promise<GatewayNumbers | null>;
}

export class Observer {
  readonly #run: Circumstances;
  readonly #kernel: () => Snapshot;
  readonly #gateway: () => Promise<GatewayNumbers | null>;
  /** Error name or counter → open connections when it first moved. */
  readonly #firstSeen = new Map<string, number>();
  #before: Snapshot;
  #last: Snapshot;
  #peak: Snapshot;
  #gatewayBefore: GatewayNumbers | null = null;
  #gatewayLast: GatewayNumbers | null = null;
  #asking = false;
  #sampledMs = Number.NEGATIVE_INFINITY;
  #flatTicks = { all: 0, busy: 0 };
  /** The likely cause while the curve is flat, for the progress line; "" otherwise. */
  hint = "";

  constructor(run: Circumstances, sources: Sources) {
    this.#run = run;
    this.#kernel = sources.kernel;
    this.#gateway = sources.gateway;
    this.#before = this.#kernel();
    this.#last = this.#before;
    this.#peak = this.#before;
  }

  /** Just before the first connection. */
  async begin(): Promise<void> {
    this.#gatewayBefore = await this.#gateway();
    this.#gatewayLast = this.#gatewayBefore;
    this.#before = this.#kernel();
    this.#last = this.#before;
    this.#peak = this.#before;
  }

  /** May be called at any rate while connections are being opened: it samples once a second. */
  sample(moment: Moment, curve: Curve): void {
    if (performance.now() - this.#sampledMs < POLL_EVERY_MS) return;
    this.#sample(moment, curve.flat);
    this.hint = "";
    if (!curve.flat || moment.open >= this.#run.target) return;
    if (!this.#asking) void this.#askGateway();
    const [first] = attribute(this.#view(moment, curve), this.#firstSeen);
    this.hint = first ? `flat: ${causeInWords(first)}` : "flat";
  }

  /** At the end of the ramp: where it went flat and why; null where it reached its target without a pause. */
  async conclude(moment: Moment, curve: Curve): Promise<Plateau | null> {
    // The curve is thinned out: its last point may be before the end.
    const flat = findFlat([...curve.points, [curve.seconds, moment.open]], this.#run.target);
    if (!flat) return null;
    this.#sample(moment, curve.flat);
    await this.#askGateway();
    return { ...flat, causes: attribute(this.#view(moment, curve), this.#firstSeen) };
  }

  #sample({ open, failed }: Moment, flat: boolean): void {
    const now = this.#kernel();
    this.#sampledMs = performance.now();
    if (flat) {
      this.#flatTicks.all += now.cpuTicks - this.#last.cpuTicks;
      this.#flatTicks.busy += now.cpuBusyTicks - this.#last.cpuBusyTicks;
    }
    for (const [name, n] of entries(now)) if (n > this.#before[name]) this.#noteFirst(name, open);
    for (const reason of Object.keys(failed)) this.#noteFirst(reason, open);
    this.#peak = combine(now, this.#peak, Math.max);
    this.#last = now;
  }

  #noteFirst(sign: string, open: number): void {
    if (!this.#firstSeen.has(sign)) this.#firstSeen.set(sign, open);
  }

  async #askGateway(): Promise<void> {
    this.#asking = true;
    this.#gatewayLast = (await this.#gateway()) ?? this.#gatewayLast;
    this.#asking = false;
  }

  #view({ open, failed, freeBytes, floorBytes }: Moment, curve: Curve): View {
    const run = this.#run;
    const { all, busy } = this.#flatTicks;
    return {
      run,
      open,
      failed,
      grown: combine(this.#last, this.#before, (now, before) => now - before),
      peak: this.#peak,
      gateway: since(this.#gatewayLast, this.#gatewayBefore),
      busy: all > 0 ? busy / all : 0,
      perSecond: ratesAround(curve.points, (run.ports / 2) * Math.max(1, run.sources)),
      memory: { freeBytes, floorBytes },
    };
  }
}

const entries = (snapshot: Snapshot): [SnapshotName, number][] => Object.entries(snapshot) as [SnapshotName, number][];

function combine(a: Snapshot, b: Snapshot, how: (a: number, b: number) => number): Snapshot {
  return Object.fromEntries(entries(a).map(([name, n]) => [name, how(n, b[name])])) as unknown as Snapshot;
}

/** The growth of its counters since `before`, and its present levels. */
function since(now: GatewayNumbers | null, before: GatewayNumbers | null): GatewayNumbers | null {
  if (!now || !before) return now;
  return { ...now, refusedFull: now.refusedFull - before.refusedFull, restarts: now.restarts - before.restarts };
}
