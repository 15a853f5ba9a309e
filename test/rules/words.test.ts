/**
 * One word for a thing, and the field's word: words that this project once had of its own stay out of code, comments and
 * texts. Each has what to say instead, which the failure shows.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { trackedFiles } from "../support/repository.js";

/** Pattern of a whole word or name → what to say instead. */
// cspell:disable
const INSTEAD: readonly (readonly [pattern: string, instead: string])[] = [
  ["anew", "again"],
  ["beside", "next to, at the same time as, or in addition to"],
  ["in vain", "timedOut"],
  ["26w wall", "the 262,144-entry conntrack limit (26w)"],
  ["without a word", "without a close frame"],
  ["who shows", "a valid ticket, or say who"],
  ["\\w*[Ss]urroundings", "deps, or runtime"],
  ["Crew|crew|hire|dismiss", "WorkerPool, spawn, remove"],
  ["MOST_\\w+|LEAST_\\w+", "MAX_, MIN_"],
  ["LOOK_\\w+|glance|isBlind", "POLL_MS, sample, sampleFailed"],
  ["[Ww]ish(?:es)?", "SubscribeRequest, options, or request"],
  ["unwant|inVain|gaveUp|Talkers|tooMany", "unfollow, timedOut, failed, MessageRateLimit.exceeded"],
  ["\\w*[Ff]arewells?|sendAway|Leavers", "drain, drainClients, DrainTarget"],
  ["Outlook|[Ff]oretell(?:ing)?|Foretold", "ReconnectWindow, announceReconnectWindow"],
  ["Census|Departures", "WorkerQueries, WorkerExits"],
  ["bears|tooSlow|withoutHelp", "toleratesSlowReaders, scheduleDisconnect, workersThatMustOverflow"],
  ["PORTION_BYTES|portions?", "MAX_CHUNK_BYTES, chunk"],
  ["ACTS|Duty|duty|Absences|waitBeside|obey", "SCENARIOS, GeneratorConfig, AwayStats, pollInThread, handle"],
  ["Believer|Besieged|Witness|Honest", "ClientModel, GatewayUnderAttack, GapDetector, LatencyProbe"],
];
const TEXTS =
  /^(src|load|sysctl|test|dashboards)\/.*\.(ts|cjs|md|html|yml|yaml)$|^(README\.md|CHANGELOG\.md|Makefile)$|^\.github\/.*\.md$/;

it("words that the field has other words for stay out", () => {
  const faults: string[] = [];
  for (const path of trackedFiles().filter((each) => TEXTS.test(each) && !each.startsWith("test/fixtures/"))) {
    if (path === "test/rules/words.test.ts") continue;
    const text = readFileSync(path, "utf8");
    for (const [pattern, instead] of INSTEAD) {
      const found = new RegExp(`(?<![\\w-])(?:${pattern})(?![\\w-])`).exec(text);
      if (!found) continue;
      const line = text.slice(0, found.index).split("\n").length;
      faults.push(`${path}:${line}: "${found[0]}": say ${instead}`);
    }
  }
  assert.deepEqual(faults, []);
});
