/**
 * The contract between a trial (trial.ts) and a scenario (load/scenarios): what the trial calls, and which parts of its run
 * the scenario may use. Types only, for the coordinator.
 */
import type { ReconnectConfig } from "../reconnects/steps.js";
import type { ScenarioEvidence } from "../scenarios/evidence.js";
import type { PhaseContext } from "./phases.js";

/** A run whose connections are open. */
export interface OpenRun extends PhaseContext {
  readonly stopped: boolean;
  readonly open: number;
  /** Connections opened per second in the ramp. */
  readonly acceptPerSecond: number;
  /** Names the phase that begins, for the progress line. */
  enter(phase: string): void;
}

/** A scenario as the trial calls it. */
export interface TrialScenario {
  readonly reconnects: Omit<ReconnectConfig, "first">;
  /** Runs before anything is forked; throws GatewayError where the scenario cannot run against this gateway. */
  check(colocated: boolean): Promise<void>;
  /** Adds what did not hold to the run's complaints. */
  run(run: OpenRun): Promise<ScenarioEvidence>;
}
