/**
 * What `GET /readyz` answers: ready, or not with the reasons; and in both cases in `detail` what an operator should know
 * although it stops nobody, such as a worker that the supervisor no longer hears. Hub process only.
 */
import type { Reopening } from "../hub/reopening.js";
import type { WalState } from "../hub/wal/wal.js";
import type { Sample } from "../metrics/exposition.js";
import type { Fleet } from "../metrics/fleet.js";
import type { SilenceNews } from "../supervision/control-channel.js";
import type { Answer } from "./answers.js";

/** What the log's state means for an operator; "ok" is not worth a word. */
const LOG_STATES: Readonly<Record<WalState, string | undefined>> = {
  ok: undefined,
  memory:
    "in memory, because --state-dir could not be written: a restart of the gateway would lose what topics remember",
  none: "nowhere: the death of the hub would lose what topics remember",
};

/** The supervisor's last report of processes that have gone silent. */
export class Silence {
  #news: Omit<SilenceNews, "type"> = { silent: [], ended: { hub: 0, worker: 0 } };

  update(news: SilenceNews): void {
    this.#news = news;
  }

  /** Slots of the silent workers: they are not counted as listening. */
  get workers(): ReadonlySet<number> {
    return new Set(this.#news.silent.map(({ worker }) => worker));
  }

  get detail(): string[] {
    return this.#news.silent.map(({ worker, seconds }) => `worker ${worker} has said nothing for ${seconds} s`);
  }

  endedSamples(): Sample[] {
    return Object.entries(this.#news.ended).map(([role, value]) => ({ labels: { role }, value }));
  }
}

export interface ReadinessDeps {
  readonly fleet: Pick<Fleet, "size" | "listening">;
  readonly silence: Silence;
  readonly reopening: Pick<Reopening, "isComplete" | "missing">;
  /** Workers that the configuration asks for. */
  readonly workers: number;
  /** The hub before this one died. */
  readonly isRestart: boolean;
  /** Worker processes that there are now. */
  workerProcesses(): number;
  /** Topics that workers asked for and that are not answered yet. */
  unanswered(): number;
  readonly logState: () => WalState;
}

export class Readiness {
  readonly #deps: ReadinessDeps;
  /** A dead worker is replaced while the others take clients: only the start waits for all of them. */
  #hadAllWorkers = false;
  #isStopping = false;

  constructor(deps: ReadinessDeps) {
    this.#deps = deps;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** From now on `/readyz` answers 503, before anything closes. */
  announceStop(): void {
    this.#isStopping = true;
  }

  answer(): Answer {
    const { silence, logState } = this.#deps;
    const log = LOG_STATES[logState()];
    const more = { ...(log !== undefined && { log }), ...(silence.detail.length > 0 && { detail: silence.detail }) };
    const reasons = this.#reasons();
    if (reasons.length === 0) return { body: { status: "ready", ...more } };
    return { status: 503, body: { status: "not ready", reasons, ...more } };
  }

  /** Why clients should not be sent here; none where they should. */
  #reasons(): string[] {
    const { fleet, silence, reopening, workers, isRestart } = this.#deps;
    this.#hadAllWorkers ||= fleet.size >= workers;
    const reasons: string[] = [];
    if (this.#isStopping) reasons.push("stopping");
    if (isRestart && !reopening.isComplete) {
      const of = `${reopening.missing} of ${this.#deps.workerProcesses()} workers`;
      reasons.push(`${of} have not asked for their topics again after a restart of the hub`);
    }
    const unanswered = this.#deps.unanswered();
    if (unanswered > 0) reasons.push(`${unanswered} topics that workers asked for are not served yet`);
    if (!this.#hadAllWorkers) reasons.push(`${fleet.size} of ${workers} workers linked`);
    if (fleet.listening(silence.workers) === 0) reasons.push("no worker listens");
    return reasons;
  }
}
