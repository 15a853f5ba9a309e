/**
 * Runs one step of the proof: forks the step process, sends it its configuration, passes its progress on, and ends it when it is
 * done, late, short of memory or interrupted. Runs in the command line.
 */

import { GatewayError } from "../../src/errors.js";
import { MachineReader } from "../kernel/machine.js";
import { endChildren, forkChild } from "./children.js";
import type { HolderCounts, StepConfig, StepFinding, StepReport } from "./messages.js";
import { MEMORY_FLOOR_BYTES } from "./sizes.js";

const SAMPLE_MEMORY_EVERY_MS = 250;

export interface StepBounds {
  readonly seconds: number;
  /** Aborted by Ctrl-C, with the error to throw as its reason. */
  readonly interrupt: AbortSignal;
}

/** Throws `failed` or `refused` if the step did not complete; its processes are gone either way. */
export async function runStep(
  config: StepConfig,
  bounds: StepBounds,
  progress: (counts: HolderCounts) => void,
): Promise<StepFinding> {
  const { seconds, interrupt } = bounds;
  interrupt.throwIfAborted();
  const machine = new MachineReader();
  const child = forkChild(new URL("./step-process.js", import.meta.url));
  let memoryCheck: NodeJS.Timeout | undefined;
  let late: NodeJS.Timeout | undefined;
  try {
    return await new Promise<StepFinding>((resolve, reject) => {
      const fail = (detail: string): void => reject(new GatewayError("failed", detail));
      interrupt.addEventListener("abort", () => reject(interrupt.reason as GatewayError), { once: true });
      late = setTimeout(() => fail(`the step took longer than ${seconds} s, so it was ended`), seconds * 1000);
      memoryCheck = setInterval(() => {
        if (machine.memory().freeBytes < MEMORY_FLOOR_BYTES)
          fail("free memory and page cache fell below 1 GB, so the step was ended");
      }, SAMPLE_MEMORY_EVERY_MS);
      child.once("error", reject);
      child.once("exit", (code, signal) =>
        fail(`the step process ended by itself (${signal ?? `status ${code ?? "unknown"}`})`),
      );
      child.on("message", (report: StepReport) => {
        switch (report.type) {
          case "progress":
            progress(report.counts);
            break;
          case "done":
            resolve(report.finding);
            break;
          case "refused":
          case "failed":
            reject(new GatewayError(report.type, report.detail));
            break;
        }
      });
      child.send(config);
    });
  } finally {
    clearTimeout(late);
    clearInterval(memoryCheck);
    await endChildren([child]);
  }
}
