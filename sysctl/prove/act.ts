/**
 * Plays one act: forks a stage, gives it the scene, passes its progress on, and ends it by handle when it is done, late,
 * out of memory or no longer wanted. Runs in the command line.
 */

import { GatewayError } from "../../src/errors.js";
import { Host } from "../kernel/machine.js";
import { endChildren, forkChild } from "./children.js";
import type { Finding, HolderCounts, ProofSetup, StageReport } from "./messages.js";
import { MEMORY_FLOOR_BYTES } from "./sizes.js";

const SAMPLE_MEMORY_EVERY_MS = 250;

export interface Bounds {
  readonly seconds: number;
  /** Ctrl-C: its reason is what is thrown. */
  readonly interrupt: AbortSignal;
}

/** Throws `failed` or `refused` when it could not be played to its end; the children are gone either way. */
export async function play(
  scene: ProofSetup,
  bounds: Bounds,
  progress: (counts: HolderCounts) => void,
): Promise<Finding> {
  const { seconds, interrupt } = bounds;
  interrupt.throwIfAborted();
  const memory = new Host();
  const stage = forkChild(new URL("./stage.js", import.meta.url));
  let watch: NodeJS.Timeout | undefined;
  let late: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Finding>((resolve, reject) => {
      const fail = (detail: string): void => reject(new GatewayError("failed", detail));
      interrupt.addEventListener("abort", () => reject(interrupt.reason as GatewayError), { once: true });
      late = setTimeout(() => fail(`the act was not over after ${seconds} s, so it was ended`), seconds * 1000);
      watch = setInterval(() => {
        if (memory.memory().freeBytes < MEMORY_FLOOR_BYTES)
          fail("free memory and page cache fell below 1 GB, so the act was ended");
      }, SAMPLE_MEMORY_EVERY_MS);
      stage.once("error", reject);
      stage.once("exit", (code, signal) =>
        fail(`the stage ended by itself (${signal ?? `status ${code ?? "unknown"}`})`),
      );
      stage.on("message", (report: StageReport) => {
        switch (report.kind) {
          case "progress":
            progress(report.counts);
            break;
          case "done":
            resolve(report.finding);
            break;
          case "refused":
          case "failed":
            reject(new GatewayError(report.kind, report.detail));
            break;
        }
      });
      stage.send(scene);
    });
  } finally {
    clearTimeout(late);
    clearInterval(watch);
    await endChildren([stage]);
  }
}
