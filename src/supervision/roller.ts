/**
 * How the rolling restart goes, or how the last one went: one at a time, each step told to the hub, whose admin port
 * answers with it, and written to the log. The steps themselves are rolling.ts. Supervisor only.
 */

import type { RollState } from "./control-channel.js";
import { type RollSurroundings, rollWorkers } from "./rolling-restart.js";
import type { Crew } from "./worker-pool.js";

export class Roller {
  #state: RollState = { state: "none", replaced: 0, of: 0, detail: "no rolling restart so far" };

  constructor(private readonly around: RollSurroundings) {}

  get state(): RollState {
    return this.#state;
  }

  /** Begins one, unless another is running or there is a `refusal` for other reasons. */
  roll(crew: Crew, why: string, refusal: string | undefined): void {
    const isRolling = this.#state.state === "rolling";
    const no = refusal ?? (isRolling ? "another one is running" : undefined);
    if (no !== undefined) {
      this.around.log("warn", `no rolling restart: ${no}`, { why });
      // The hub took it for begun: it hears how things are.
      this.#become(isRolling ? this.#state : { state: "failed", replaced: 0, of: 0, detail: no });
      return;
    }
    const of = crew.workers.length;
    this.around.log("info", "rolling restart begins", { workers: of, why });
    this.#become({ state: "rolling", replaced: 0, of, detail: "begins" });
    rollWorkers(crew, { ...this.around, tell: (roll) => this.#become(roll) }).then(
      () => {
        this.around.log("info", "rolling restart done", { workers: of });
        this.#become({ state: "done", replaced: of, of, detail: "every worker is a new process" });
      },
      (error: unknown) => {
        const detail = error instanceof Error ? error.message : String(error);
        this.around.log("error", `rolling restart ended early: ${detail}`, { replaced: this.#state.replaced, of });
        this.#become({ ...this.#state, state: "failed", detail });
      },
    );
  }

  #become(state: RollState): void {
    this.#state = state;
    this.around.tell(state);
  }
}
