/**
 * The identity of each connection in a scenario: its topic by its number, and a handshake that subscribes to it, from the
 * connection's position once it has one. Runs in generators.
 */
import type { KeyPool } from "../generator/handshake.js";
import type { Identities } from "../generator/identities.js";
import type { GeneratorConfig } from "../generator/messages.js";
import type { Positions } from "./positions.js";
import type { ReconnectConfig } from "./steps.js";

const KEY_BYTES = 24;
/** A path with its topic and position is far shorter. */
const REQUEST_BYTES = 4096;

/** "load:17", or "load" itself where there is one topic only. */
export const topicName = (base: string, index: number, topics: number): string =>
  topics === 1 ? base : `${base}:${index}`;

export const topicCount = (connections: number, socketsPerTopic: number): number =>
  Math.ceil(connections / socketsPerTopic);

export class TopicIdentities implements Identities {
  readonly #config: ReconnectConfig;
  readonly #positions: Positions;
  readonly #bytes = Buffer.allocUnsafeSlow(REQUEST_BYTES);
  readonly #pathBytes: number;
  readonly #tail: Buffer;

  readonly #topics: readonly string[];

  constructor(
    config: Pick<GeneratorConfig, "host" | "path" | "topic">,
    reconnects: ReconnectConfig,
    positions: Positions,
  ) {
    this.#config = reconnects;
    this.#positions = positions;
    const { topics } = reconnects;
    this.#topics = Array.from({ length: topics }, (_, i) => topicName(config.topic, i, topics));
    this.#pathBytes = this.#bytes.write(`GET ${config.path.split("?", 1)[0]!}?topics=`, "latin1");
    const head = `Host: ${config.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13`;
    this.#tail = Buffer.from(` HTTP/1.1\r\n${head}\r\nSec-WebSocket-Key: ${"=".repeat(KEY_BYTES)}\r\n\r\n`, "latin1");
  }

  topicIndex(number: number): number {
    return Math.floor((this.#config.first + number) / this.#config.socketsPerTopic);
  }

  topic(number: number): string {
    return this.#topics[this.topicIndex(number)]!;
  }

  request(pool: KeyPool, key: number, number: number): Buffer {
    const { epoch, offset } = this.#positions.at(number);
    const subscription = epoch === "" ? this.topic(number) : `${this.topic(number)}@${epoch}:${offset}`;
    const pathEnd = this.#pathBytes + this.#bytes.write(subscription, this.#pathBytes, "latin1");
    const end = pathEnd + this.#tail.copy(this.#bytes, pathEnd);
    pool.keys.copy(this.#bytes, end - 4 - KEY_BYTES, key * KEY_BYTES, (key + 1) * KEY_BYTES);
    return this.#bytes.subarray(0, end);
  }
}
