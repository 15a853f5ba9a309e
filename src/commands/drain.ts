/**
 * `megagate drain --plan`: what an orderly stop and a rolling restart of a running gateway would take, before anybody does
 * it, and a refusal where the window is too short for it. Changes nothing: SIGTERM is what drains.
 */

import { ADMIN_KEY_FILE, ADMIN_URL } from "../config/gateway-address.js";
import { type ConfigOf, flag, whole } from "../config/table.js";
import { type DrainFacts, type DrainPlan, planDrain } from "../drain/plan.js";
import { GatewayError } from "../errors.js";
import { ask } from "./admin-client.js";

export const DRAIN_OPTIONS = {
  plan: flag({
    default: false,
    explanation: "Print what a drain and a rolling restart would take; without it nothing is done",
  }),
  window: whole({
    default: 0,
    min: 0,
    max: 86_400,
    unit: "seconds",
    explanation:
      "Time that the drain may take, such as a pod's grace period; the plan is refused where that is too short. 0 takes the gateway's --stop-notice-seconds and --stop-seconds",
  }),
  adminUrl: ADMIN_URL,
  adminKeyFile: ADMIN_KEY_FILE,
  json: flag({ default: false, explanation: "Print the plan as JSON" }),
} as const;

/** Throws `usage`, `unreachable`, or `refused` with the number that would do. */
export async function drain(options: ConfigOf<typeof DRAIN_OPTIONS>, write: (text: string) => void): Promise<void> {
  if (!options.plan) {
    throw new GatewayError(
      "usage",
      "this command only plans: megagate drain --plan. What drains a gateway is SIGTERM to its `megagate serve`",
    );
  }
  const facts = (await ask(options, { path: "/drain", has: "stopSeconds" })) as DrainFacts;
  const allowed = options.window === 0 ? facts.stopSeconds : options.window - facts.stopNoticeSeconds;
  const plan = planDrain(facts, Math.min(allowed, facts.stopSeconds));
  write(options.json ? `${JSON.stringify({ ...facts, ...plan })}\n` : report(facts, plan));
  if (allowed < plan.drain.needs) throw new GatewayError("refused", tooShort(facts, plan, options.window));
  if (facts.stopSeconds < plan.drain.needs) throw new GatewayError("refused", tooShort(facts, plan, 0));
}

function tooShort(
  { returnPerSecond, stopNoticeSeconds, stopSeconds }: DrainFacts,
  plan: DrainPlan,
  window: number,
): string {
  const needs = plan.drain.needs;
  const why = `${whole3(plan.connections)} connections at the pace of ${whole3(returnPerSecond)} a second need ${needs} s`;
  const notice = stopNoticeSeconds > 0 ? ` after --stop-notice-seconds ${stopNoticeSeconds}` : "";
  if (window === 0)
    return `--stop-seconds ${stopSeconds} is too short: ${why}${notice}. Start the gateway with --stop-seconds ${needs}`;
  const min = needs + stopNoticeSeconds;
  return `a window of ${window} s is too short: ${why}${notice}. A window of ${min} s would do, with --stop-seconds ${needs}`;
}

const whole3 = (n: number): string => Math.round(n).toLocaleString("en-US");
const seconds = (n: number): string => `${n < 10 ? n.toFixed(1) : Math.round(n)} s`;

/** For a person. */
function report(facts: DrainFacts, { connections, drain: d, rolling: r }: DrainPlan): string {
  const notice = d.notice > 0 ? `not ready for ${seconds(d.notice)}, then ` : "";
  return [
    `${whole3(connections)} connections on ${r.workers} workers; ${whole3(facts.returnPerSecond)} a second can come back, ${whole3(facts.goodbyePerSecond)} a second can be sent away.`,
    `SIGTERM          ${notice}all clients sent away within ${seconds(d.telling)}, processes gone after ${seconds(d.gone)} at worst`,
    `                 clients come back in a window of ${seconds(d.window)}: the last after ${seconds(d.lastBack)}, if somebody takes them`,
    `                 --stop-seconds is ${facts.stopSeconds}; at this pace it needs ${d.needs}`,
    `SIGHUP           ${r.workers} workers one by one in ${seconds(r.seconds)}, at worst ${seconds(r.worstSeconds)}`,
    `                 windows of ${seconds(r.window)} at most; ${whole3(r.closes)} closes, for some clients move more than once`,
    `                 the fullest worker holds ${whole3(r.fullest)} of ${whole3(facts.cap)} on the way`,
    "",
  ].join("\n");
}
