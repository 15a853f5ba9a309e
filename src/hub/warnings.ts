/**
 * What the operator should know of the hub's topics, sampled once a second and logged once a minute at most: followed topics
 * that fill --topic-memory-bytes, and a worker that claims offsets which were never given out. Hub process only.
 */
import type { Log } from "../log.js";
import type { Hub } from "./hub.js";

const MIN_INTERVAL_MS = 60_000;

export class HubWarnings {
  readonly #hub: Hub;
  readonly #log: Log;
  #shortened = 0;
  #refused = 0;
  #refusesNames = false;
  #claims = 0;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(hub: Hub, log: Log) {
    this.#hub = hub;
    this.#log = log;
  }

  /** `nowMs`: monotonic. */
  sample(nowMs: number): void {
    const hub = this.#hub;
    if (hub.aheadClaims > this.#claims) {
      const message =
        "a worker claimed a later offset than was given out; its topic is numbered again. This is a fault of Megagate: please report it";
      this.#log("error", message, { times: hub.aheadClaims });
      this.#claims = hub.aheadClaims;
    }
    const { shortened, acceptsNewNames } = hub.table;
    const hasChanged =
      shortened > this.#shortened || hub.statesRefused > this.#refused || this.#refusesNames === acceptsNewNames;
    if (!hasChanged || nowMs - this.#loggedMs < MIN_INTERVAL_MS) return;
    this.#loggedMs = nowMs;
    const fields = {
      historiesShortened: shortened - this.#shortened,
      statesRefused: hub.statesRefused - this.#refused,
    };
    if (fields.historiesShortened + fields.statesRefused > 0) {
      const message =
        "followed topics fill --topic-memory-bytes: histories are shortened, and states cannot grow where that is not enough; raise it";
      this.#log("warn", message, fields);
    }
    if (!acceptsNewNames) {
      const message =
        "subscriptions to names that nobody has published to are refused (4018): those followed now fill half of --topic-memory-bytes; raise it";
      this.#log("warn", message, { topics: hub.table.unpublished });
    }
    this.#shortened = shortened;
    this.#refused = hub.statesRefused;
    this.#refusesNames = !acceptsNewNames;
  }
}
