/**
 * A fuzzing run against a live gateway: rounds of attack with pauses between them. Delays in the rounds are compared with those
 * in the pauses around them, so that whatever else the machine does falls on both. Memory is read in the pauses, and the
 * minimum of the first half is compared with that of the second, each right after a collection: halves, because a
 * process that has just begun to work still grows, and after a warm-up of as many attacks as it takes to compile the code.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Gateway, ProcessRow } from "../support/gateway.js";
import { LatencyProbe, quantile } from "../support/latency-probe.js";
import type { Target } from "./attack.js";
import { Fuzzer, type Tally } from "./fuzzer.js";

/** Seconds of attack in all. */
export const SECONDS = Number(process.env.FUZZ_SECONDS ?? 10);
export const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const PER_SECOND = Number(process.env.FUZZ_PACE ?? 100);
const PAUSE_MS = 2000;

/** Environment of the gateway: garbage is collected every two seconds (collect.ts), in attacks and in pauses alike. */
export const COLLECTING = { NODE_OPTIONS: `--import ${new URL("collect.js", import.meta.url).href}` };

export interface Verdict extends Tally {
  /** Milliseconds; [in the pauses, in the attacks]. */
  readonly delays: Readonly<Record<"heartbeatP50" | "heartbeatP99" | "pushP50" | "pushP99", readonly [number, number]>>;
  /** Private memory of hub and workers, bytes: [minimum of the first half, minimum of the second]. */
  readonly memory: readonly [number, number];
  readonly descriptors: readonly [number, number];
}

export async function campaign(gateway: Gateway, target: Target, seconds: number): Promise<Verdict> {
  const port = target === "public" ? gateway.port : gateway.adminPort;
  const fuzzer = new Fuzzer({ target, port, seed: SEED, perSecond: PER_SECOND });
  const probe = await LatencyProbe.start(gateway);
  const processes = (await gateway.processes()).filter(({ role }) => role !== "supervisor");
  const rounds = Math.max(4, Math.round(seconds / 5));
  const calm = { heartbeats: [] as number[], pushes: [] as number[] };
  const attacked = { heartbeats: [] as number[], pushes: [] as number[] };
  const memory: number[] = [];
  const quiet = async (): Promise<void> => {
    const { heartbeats, pushes } = await probe.during(new Promise((resolve) => setTimeout(resolve, PAUSE_MS)));
    calm.heartbeats.push(...heartbeats);
    calm.pushes.push(...pushes);
    memory.push(privateBytes(processes));
  };
  try {
    // Warm-up: code is compiled, buffers and maps have got their size.
    await probe.during(fuzzer.run(Math.min(10_000, seconds * 300)));
    await probe.alone();
    const before = descriptors(processes);
    await quiet();
    let tally: Tally = { attacks: 0, bytes: 0, answers: { upgraded: 0, http: 0, nothing: 0 } };
    for (let round = 0; round < rounds; round++) {
      const running = fuzzer.run((seconds * 1000) / rounds);
      const { heartbeats, pushes } = await probe.during(running);
      tally = await running;
      attacked.heartbeats.push(...heartbeats);
      attacked.pushes.push(...pushes);
      await probe.alone();
      await quiet();
    }
    const half = memory.length / 2;
    const pair = (of: "heartbeats" | "pushes", share: number) =>
      [quantile(calm[of], share), quantile(attacked[of], share)] as const;
    return {
      ...tally,
      delays: {
        heartbeatP50: pair("heartbeats", 0.5),
        heartbeatP99: pair("heartbeats", 0.99),
        pushP50: pair("pushes", 0.5),
        pushP99: pair("pushes", 0.99),
      },
      memory: [Math.min(...memory.slice(0, half)), Math.min(...memory.slice(half))],
      descriptors: [before, descriptors(processes)],
    };
  } finally {
    await fuzzer.end();
    await probe.end();
  }
}

function privateBytes(processes: readonly ProcessRow[]): number {
  const of = ({ pid }: ProcessRow): number =>
    Number(/^Pss_Anon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]) * 1024;
  return processes.map(of).reduce((a, b) => a + b, 0);
}

/** Of the kind that is held: sockets. */
function descriptors(processes: readonly ProcessRow[]): number {
  return processes.map(({ pid }) => readdirSync(`/proc/${pid}/fd`).length).reduce((a, b) => a + b, 0);
}
