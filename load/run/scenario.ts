/** What a trial needs of a scenario, and a scenario of its run. Types only. */

import type { ReturnDuty } from "../reconnects/steps.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";
import type { PhaseContext } from "./phases.js";

/** A run whose connections are open. */
export interface Opened extends PhaseContext {
  readonly stopped: boolean;
  readonly open: number;
  /** Connections a second in the ramp. */
  readonly acceptPerSecond: number;
  /** Says what is going on. */
  enter(phase: string): void;
}

export interface Scenario {
  readonly reconnects: Omit<ReturnDuty, "first">;
  /** Before anything is forked: throws GatewayError for what cannot be done to this gateway. */
  check(adminUrl: string, colocated: boolean): Promise<void>;
  /** Adds what did not hold to the run's complaints. */
  runScenario(run: Opened): Promise<ScenarioEvidence>;
}
