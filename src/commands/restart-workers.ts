/**
 * `megagate restart-workers`: asks a running gateway to replace its workers one by one, and shows how it goes. The same as
 * SIGHUP to its supervisor, with an end that a script can wait for.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { AdminAccess } from "../config/admin-access.js";
import { GatewayError } from "../errors.js";
import type { RollState } from "../supervision/control-channel.js";
import { ask } from "./admin-client.js";

const POLL_MS = 250;
/** The hub process may die meanwhile and come back: the roll does not depend on it. */
const AWAY_MS = 30_000;

const ROLL = { path: "/restart-workers", has: "state" } as const;

/** Resolves when every worker has been replaced. Throws `failed` when one was not, `unreachable` without a gateway. */
export async function restartWorkers(access: AdminAccess, write: (line: string) => void): Promise<void> {
  let roll = (await ask(access, { ...ROLL, method: "POST" })) as RollState;
  const startMs = performance.now();
  let shown = "";
  while (roll.state === "rolling") {
    const line = `${roll.replaced} of ${roll.of} replaced; ${roll.detail}`;
    if (line !== shown) write(`${((performance.now() - startMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`);
    shown = line;
    await sleep(POLL_MS);
    roll = await poll(access);
  }
  if (roll.state !== "done")
    throw new GatewayError("failed", `${roll.replaced} of ${roll.of} replaced: ${roll.detail}`);
  write(`${roll.of} workers replaced in ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`);
}

async function poll(access: AdminAccess): Promise<RollState> {
  const endMs = performance.now() + AWAY_MS;
  for (;;) {
    try {
      return (await ask(access, ROLL)) as RollState;
    } catch (error) {
      if (performance.now() >= endMs) throw error;
      await sleep(POLL_MS);
    }
  }
}
