/**
 * What the operator should hear of the hub's topics, looked at once a second and said once a minute at most: followed topics
 * that fill --topic-memory-bytes, and a worker that claims numbers which were never given out. Hub process only.
 */
import type { Log } from "../log.js";
import type { Hub } from "./hub.js";

const SILENT_MS = 60_000;

export class HubWarnings {
  #shortened = 0;
  #refused = 0;
  #unserved = false;
  #claims = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly hub: Hub,
    private readonly log: Log,
  ) {}

  /** `nowMs`: monotonic. */
  sample(nowMs: number): void {
    const { hub } = this;
    if (hub.aheadClaims > this.#claims) {
      const message =
        "a worker claimed a later offset than was given out; its topic is numbered again. This is a fault of Megagate: please report it";
      this.log("error", message, { times: hub.aheadClaims });
      this.#claims = hub.aheadClaims;
    }
    const { shortened, hasRoomForName } = hub.table;
    const isNews =
      shortened > this.#shortened || hub.statesRefused > this.#refused || this.#unserved === hasRoomForName;
    if (!isNews || nowMs - this.#saidMs < SILENT_MS) return;
    this.#saidMs = nowMs;
    const fields = {
      historiesShortened: shortened - this.#shortened,
      statesRefused: hub.statesRefused - this.#refused,
    };
    if (fields.historiesShortened + fields.statesRefused > 0) {
      const message =
        "followed topics fill --topic-memory-bytes: histories are shortened, and states cannot grow where that is not enough; raise it";
      this.log("warn", message, fields);
    }
    if (!hasRoomForName) {
      const message =
        "so many topics are followed that nobody has published to that further ones are refused (4018); raise --topic-memory-bytes";
      this.log("warn", message, { topics: hub.table.unpublished });
    }
    this.#shortened = shortened;
    this.#refused = hub.statesRefused;
    this.#unserved = !hasRoomForName;
  }
}
