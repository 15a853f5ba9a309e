/**
 * What `GET /readyz` answers: ready or not with the reasons, and in both cases in `detail` what an operator should know
 * though it stops nobody, such as a worker from which nothing is heard. Hub process only.
 */
import type { Sample } from "../metrics/exposition.js";
import type { SilenceNews } from "../supervision/control-channel.js";
import type { Answer } from "./answers.js";

/** What the supervisor tells of processes that do not speak. */
export class Silence {
  #news: Omit<SilenceNews, "type"> = { silent: [], ended: { hub: 0, worker: 0 } };

  update(news: SilenceNews): void {
    this.#news = news;
  }

  /** Places of the workers from which nothing is heard: nobody counts on them. */
  get workers(): ReadonlySet<number> {
    return new Set(this.#news.silent.map(({ worker }) => worker));
  }

  get detail(): string[] {
    return this.#news.silent.map(({ worker, seconds }) => `worker ${worker} has said nothing for ${seconds} s`);
  }

  ended(): Sample[] {
    return Object.entries(this.#news.ended).map(([role, value]) => ({ labels: { role }, value }));
  }
}

/** `log`: what is wrong with the log, where something is. */
export function readyAnswer(
  reasons: readonly string[],
  detail: readonly string[],
  log: { readonly log?: string },
): Answer {
  const more = { ...log, ...(detail.length > 0 && { detail }) };
  if (reasons.length === 0) return { body: { status: "ready", ...more } };
  return { status: 503, body: { status: "not ready", reasons, ...more } };
}
