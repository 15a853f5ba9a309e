/**
 * The fuzzer, in a thread of its own so that the clients whose delays are measured do not wait for it. It attacks at a
 * given rate while `run` lasts; attack number n of a run has the seed `seed + n`, so that each can be repeated alone.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { attack, type Outcome, type Target } from "./attack.js";

interface Orders {
  readonly target: Target;
  readonly port: number;
  readonly seed: number;
  readonly perSecond: number;
}
export interface Tally {
  readonly attacks: number;
  readonly bytes: number;
  readonly answers: Readonly<Record<Outcome["answer"], number>>;
}

/** How many may be under way: beyond it the fuzzer waits instead of piling up. */
const AT_A_TIME = 200;
const STEP_MS = 10;

export class Fuzzer {
  readonly #thread: Worker;

  constructor(orders: Orders) {
    this.#thread = new Worker(new URL(import.meta.url), { workerData: orders });
  }

  /** Attacks for so long; resolves with what was done since the beginning, when the last attack is over. */
  async run(ms: number): Promise<Tally> {
    this.#thread.postMessage(ms);
    const [tally] = (await once(this.#thread, "message")) as [Tally];
    return tally;
  }

  async end(): Promise<void> {
    await this.#thread.terminate();
  }
}

function serve({ target, port, seed, perSecond }: Orders): void {
  let attacks = 0;
  let bytes = 0;
  const answers = { upgraded: 0, http: 0, nothing: 0 };
  parentPort!.on("message", (ms: number) => void run(ms));

  async function run(ms: number): Promise<void> {
    const under = new Set<Promise<void>>();
    const began = performance.now();
    let started = 0;
    for (let now = 0; now < ms; now = performance.now() - began) {
      for (; started < (now / 1000) * perSecond && under.size < AT_A_TIME; started++) {
        const one = attack(target, port, seed + attacks++).then((outcome) => {
          bytes += outcome.bytesSent;
          answers[outcome.answer] += 1;
          under.delete(one);
        });
        under.add(one);
      }
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
    await Promise.all(under);
    parentPort!.postMessage({ attacks, bytes, answers } satisfies Tally);
  }
}

if (!isMainThread) serve(workerData as Orders);
