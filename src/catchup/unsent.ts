/** The account of what slow readers did not get: one addition a case, by what became of it. */
import { SLOT, type UnsentReason } from "../metrics/catalog.js";
import { counters } from "../metrics/counters.js";
import type { Account } from "./steps.js";

export function account(reason: UnsentReason, { messages, bytes }: Account): void {
  counters[SLOT[`unsent_${reason}`]]! += messages;
  counters[SLOT[`unsentBytes_${reason}`]]! += bytes;
}
