/**
 * The judge of the chaos test: what publishers were answered, and what each subscriber received of it. A publication has an
 * id and is repeated until it is answered, so that its outcome is known whatever process died in the meantime.
 */
import assert from "node:assert/strict";
import WebSocket from "ws";
import { MegagateClient, type Position, type Push, type Subscription } from "../../src/client/client.js";

interface Published {
  readonly epoch: string;
  readonly offset: number;
  readonly key: string | undefined;
  /** JSON text. */
  readonly data: string;
}

export interface Message {
  readonly topic: string;
  readonly key?: string;
  readonly data: unknown;
  readonly id: string;
}

export class Truth {
  readonly #topics = new Map<string, Published[]>();
  /** `topic epoch:offset` → JSON text of the data, from the one that had it first. */
  readonly #values = new Map<string, string>();
  readonly faults: string[] = [];
  published = 0;

  fault(text: string): void {
    if (this.faults.length < 50) this.faults.push(text);
  }

  accepted(message: Message, { epoch, offset }: Position): void {
    const data = JSON.stringify(message.data);
    this.published += 1;
    this.value(message.topic, { epoch, offset }, data);
    const all = this.#topics.get(message.topic) ?? [];
    all.push({ epoch, offset, key: message.key, data });
    this.#topics.set(message.topic, all);
  }

  /** No offset may have two values. */
  value(topic: string, { epoch, offset }: Position, data: string): void {
    const name = `${topic} ${epoch}:${offset}`;
    const known = this.#values.get(name);
    if (known === undefined) this.#values.set(name, data);
    else if (known !== data) this.fault(`${name} has two values: ${known.slice(0, 60)} and ${data.slice(0, 60)}`);
  }

  /** The topic's position and keyed state, according to the answers to publishers. */
  of(topic: string): { position: Position | undefined; state: Map<string, string>; epochs: Set<string> } {
    const all = (this.#topics.get(topic) ?? []).sort((a, b) => a.offset - b.offset);
    const state = new Map<string, string>();
    for (const { key, data } of all) {
      if (key === undefined) continue;
      if (data === "null") state.delete(key);
      else state.set(key, data);
    }
    const last = all.at(-1);
    return { position: last, state, epochs: new Set(all.map(({ epoch }) => epoch)) };
  }

  get topics(): string[] {
    return [...this.#topics.keys()];
  }
}

/** One client of the SDK with subscriptions that come and go. */
export class Subscriber {
  readonly #truth: Truth;
  readonly client: MegagateClient;
  readonly subscriptions = new Map<string, { subscription: Subscription; at: Position | undefined }>();
  resets = 0;
  renumbered = 0;

  constructor(url: string, truth: Truth) {
    this.#truth = truth;
    this.client = new MegagateClient({
      url,
      WebSocket,
      baseMs: 200,
      capMs: 2000,
      heartbeatMs: 5000,
      answerTimeoutMs: 5000,
    });
  }

  follow(topic: string): void {
    if (this.subscriptions.has(topic)) return;
    const own: { subscription?: Subscription; at: Position | undefined; isAnnounced: boolean } = {
      at: undefined,
      isAnnounced: true,
    };
    own.subscription = this.client.subscribe(topic, {
      snapshot: true,
      onReset: ({ because }) => {
        own.isAnnounced = true;
        if (because === "renumbered") this.renumbered += 1;
        this.resets += 1;
      },
      onState: ({ epoch, offset }) => {
        if (!own.isAnnounced) this.#truth.fault(`${topic}: a new state at ${epoch}:${offset} that no reset announced`);
        own.isAnnounced = false;
        own.at = { epoch, offset };
      },
      onPush: (push) => this.#pushed(push, own),
    });
    this.subscriptions.set(topic, own as { subscription: Subscription; at: Position | undefined });
  }

  #pushed({ topic, epoch, offset, data }: Push, own: { at: Position | undefined }): void {
    const { at } = own;
    if (at?.epoch !== epoch || offset !== at.offset + 1)
      this.#truth.fault(`${topic}: after ${at?.epoch}:${at?.offset} came ${epoch}:${offset}`);
    own.at = { epoch, offset };
    this.#truth.value(topic, { epoch, offset }, JSON.stringify(data));
  }

  leave(topic: string): void {
    this.subscriptions.get(topic)?.subscription.close();
    this.subscriptions.delete(topic);
  }

  /** Topics whose position or state differs from what publishers were answered. */
  wrong(): string[] {
    return [...this.subscriptions].flatMap(([topic, { subscription, at }]) => {
      const { position, state } = this.#truth.of(topic);
      if (at?.epoch !== position?.epoch || at?.offset !== position?.offset)
        return [`${topic} at ${at?.epoch}:${at?.offset}, not ${position?.epoch}:${position?.offset}`];
      const own = new Map([...subscription.state].map(([key, value]) => [key, JSON.stringify(value)]));
      const isEqual = own.size === state.size && [...state].every(([key, data]) => own.get(key) === data);
      return isEqual ? [] : [`${topic}: ${own.size} keys that are not the ${state.size} of the model`];
    });
  }
}

/** Publishes messages, and repeats them until they are answered. */
export class SurePublisher {
  readonly #url: () => string;
  readonly #truth: Truth;
  #ids = 0;
  refused = 0;

  constructor(url: () => string, truth: Truth) {
    this.#url = url;
    this.#truth = truth;
  }

  async publish(messages: readonly Omit<Message, "id">[]): Promise<void> {
    const body = messages.map((message) => ({ ...message, id: `m${this.#ids++}` }));
    for (let tries = 0; ; tries++) {
      const results = await this.#try(body);
      if (results) {
        for (const [i, result] of results.entries()) this.#truth.accepted(body[i]!, result);
        return;
      }
      assert.ok(tries < 600, "a publication was not accepted for a minute");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #try(body: readonly Message[]): Promise<Position[] | undefined> {
    try {
      const response = await fetch(`${this.#url()}/publish`, {
        method: "POST",
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(15_000),
      });
      const { results, code, error } = (await response.json()) as {
        results?: Position[];
        code: number;
        error?: string;
      };
      if (response.ok) return results;
      this.refused += 1;
      if (response.status !== 503) this.#truth.fault(`publish: ${response.status} ${code} ${error}`);
    } catch {
      this.refused += 1;
    }
    return undefined;
  }
}
