/**
 * Notices children that hang. Each sends a message at least once a second (a beat, child.ts); a silent one is logged, and
 * reported to the hub, which shows it. A child that is silent while its CPU time stands still is stopped or deadlocked:
 * it is ended and replaced after 20 s. A child that is silent while it burns CPU may be busy with a long broadcast on a busy
 * machine: it has --hung-seconds. Silence is counted in this process's own ticks, so that no child is blamed for a time in
 * which the supervisor, or the whole machine, stood still. Supervisor only.
 */
import { readFileSync } from "node:fs";
import type { Log } from "../log.js";
import type { SilenceNews } from "./control-channel.js";

const TICK_MS = 1000;
/** A tick that comes later than this: the supervisor was stopped or suspended, and received nothing. */
const AWAY_MS = 5000;
/** Silence that is logged. */
const NAMED_MS = 5000;
/** Silence without CPU time at which a process is ended, unless --hung-seconds is shorter. */
const STILL_MS = 20_000;

/** What this needs of a child process. */
export interface Watched {
  readonly pid: number | undefined;
  /** It runs, and has not been told to stop. */
  readonly isWatched: boolean;
  /** It has sent a message since this was last cleared. */
  hasSpoken: boolean;
  endHung(): void;
}

export interface NamedChild {
  readonly name: string;
  /** The worker's slot; undefined for the hub. */
  readonly worker?: number;
  readonly child: Watched;
}

/** CPU time that a process has used, in the kernel's ticks, and its state as one letter. */
export interface CpuTime {
  readonly ticks: number;
  readonly state: string;
}

export interface LivenessDeps {
  readonly log: Log;
  /** 0 ends nobody. */
  readonly hungSeconds: number;
  children(): readonly NamedChild[];
  sendToHub(news: SilenceNews): void;
  /** Undefined where the process is gone. */
  cpuTime?(pid: number): CpuTime | undefined;
}

interface Silence {
  silentMs: number;
  /** The part of it at whose end no CPU time had been used. */
  stillMs: number;
  cpu: CpuTime | undefined;
  isNamed: boolean;
}

export class Liveness {
  readonly #silences = new Map<number, Silence>();
  readonly #ended = { hub: 0, worker: 0 };
  #reported = "";
  #tickedMs = 0;
  #timer: NodeJS.Timeout | undefined;

  readonly #deps: LivenessDeps;

  constructor(deps: LivenessDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#tickedMs = performance.now();
    this.#timer = setInterval(() => this.tick(performance.now()), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A hub process that has just started knows nothing yet. */
  renew(): void {
    this.#reported = "";
  }

  /** `nowMs`: of a clock that never jumps back. */
  tick(nowMs: number): void {
    const elapsedMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    const watched = this.#deps.children().filter(({ child }) => child.isWatched && child.pid !== undefined);
    const pids = new Set(watched.map(({ child }) => child.pid));
    for (const pid of this.#silences.keys()) if (!pids.has(pid)) this.#silences.delete(pid);
    for (const one of watched) {
      if (one.child.hasSpoken) this.#speaks(one);
      // A tick that is a little late means that CPU time is short, for the children too: it counts as two ticks at most.
      else if (elapsedMs < AWAY_MS) this.#silent(one, Math.min(elapsedMs, 2 * TICK_MS));
      else this.#startAgain(one);
    }
    this.#report(watched);
  }

  #speaks({ name, child }: NamedChild): void {
    child.hasSpoken = false;
    const silence = this.#silences.get(child.pid!);
    if (!silence) return;
    this.#silences.delete(child.pid!);
    if (!silence.isNamed) return;
    const seconds = Math.round(silence.silentMs / 1000);
    this.#deps.log("info", `${name} is heard again`, { pid: child.pid, silentSeconds: seconds });
  }

  #startAgain({ child }: NamedChild): void {
    const silence = this.#silences.get(child.pid!);
    if (silence) Object.assign(silence, { silentMs: 0, stillMs: 0, cpu: undefined });
  }

  #silent(one: NamedChild, ms: number): void {
    const pid = one.child.pid!;
    const silence = this.#silences.get(pid) ?? { silentMs: 0, stillMs: 0, cpu: undefined, isNamed: false };
    this.#silences.set(pid, silence);
    silence.silentMs += ms;
    const cpu = (this.#deps.cpuTime ?? cpuTime)(pid);
    silence.stillMs = isStill(silence.cpu, cpu) ? silence.stillMs + ms : 0;
    silence.cpu = cpu;
    const seconds = Math.round(silence.silentMs / 1000);
    if (silence.silentMs >= NAMED_MS && !silence.isNamed) {
      silence.isNamed = true;
      this.#deps.log("warn", `${one.name} has said nothing for ${seconds} s; it is busy, stopped or deadlocked`, {
        pid,
      });
    }
    const why = this.#whyHung(silence);
    if (why === undefined) return;
    this.#ended[one.worker === undefined ? "hub" : "worker"] += 1;
    this.#deps.log("error", `${one.name} hangs: ${why}; it is ended and replaced`, { pid, silentSeconds: seconds });
    this.#silences.delete(pid);
    one.child.endHung();
  }

  #whyHung({ silentMs, stillMs, cpu }: Silence): string | undefined {
    const { hungSeconds } = this.#deps;
    if (hungSeconds === 0) return undefined;
    const seconds = Math.round(silentMs / 1000);
    const limitMs = Math.min(STILL_MS, hungSeconds * 1000);
    // The first tick of the silence has no CPU time to compare with.
    if (silentMs >= limitMs && stillMs >= limitMs - 2 * TICK_MS)
      return `nothing heard for ${seconds} s, in which it used no CPU time (state ${cpu?.state ?? "unknown"})`;
    if (silentMs >= hungSeconds * 1000) return `nothing heard for ${seconds} s, the most that --hung-seconds allows`;
    return undefined;
  }

  #report(watched: readonly NamedChild[]): void {
    const silent = watched.flatMap(({ worker, child }) => {
      const silence = this.#silences.get(child.pid!);
      if (worker === undefined || silence?.isNamed !== true) return [];
      return [{ worker, seconds: Math.round(silence.silentMs / 1000) }];
    });
    const news: SilenceNews = { type: "silence", silent, ended: { ...this.#ended } };
    const text = JSON.stringify(news);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#deps.sendToHub(news);
  }
}

/** Running and waiting for a disk are no standing still: it may be short of CPU time, and no signal ends a wait for a disk. */
function isStill(before: CpuTime | undefined, now: CpuTime | undefined): boolean {
  return before !== undefined && now !== undefined && before.ticks === now.ticks && !"RD".includes(now.state);
}

/** Of all threads of the process. */
export function cpuTime(pid: number): CpuTime | undefined {
  try {
    // "pid (name) state …": a name may hold spaces and brackets; user and system time are the 14th and 15th field.
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)!.split(" ");
    return { state: fields[0]!, ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined;
  }
}
