/**
 * How much a topic remembers and how its slow readers are treated, by the topic's prefix (the part before the first `:`).
 * Pure. Hub and workers hold the same rules, so that a replica keeps as much as the hub. Text form:
 * `user:history=0,keys=0;exts:keys=50000,slow=conflate`.
 */

/**
 * What happens to a reader whose buffer is full when a push comes. `disconnect`: it may catch up from the history until its
 * grace ends, as long as the history has everything that it missed; else it is disconnected. `conflate`: when its buffer
 * has drained, it gets the newest push of each key. `drop`: it continues with the next push, and a `dropped` event names the
 * offsets that it missed.
 */
export const SLOW_POLICIES = ["disconnect", "conflate", "drop"] as const;
export type SlowPolicy = (typeof SLOW_POLICIES)[number];

export interface TopicRule {
  /** Publications kept for clients that reconnect. */
  readonly historyCount: number;
  readonly historyBytes: number;
  readonly historySeconds: number;
  /** Maximum number of keys whose last value is kept; 0 keeps none. */
  readonly stateKeys: number;
  readonly slowReaders: SlowPolicy;
}

const FIELDS = {
  history: "historyCount",
  bytes: "historyBytes",
  seconds: "historySeconds",
  keys: "stateKeys",
} as const;

const SETTING = `(?:(?:${Object.keys(FIELDS).join("|")})=\\d{1,9}|slow=(?:${SLOW_POLICIES.join("|")}))`;
const RULE = `[A-Za-z0-9_-]+:${SETTING}(?:,${SETTING})*`;

/** The option table checks the text against this. */
export const RULES_PATTERN = new RegExp(`^${RULE}(?:;${RULE})*$`);

export class TopicRules {
  readonly #byPrefix = new Map<string, TopicRule>();

  readonly #default: TopicRule;

  /** `text` changes fields of `defaultRule` by prefix. */
  constructor(defaultRule: TopicRule, text: string) {
    this.#default = defaultRule;
    for (const part of text.split(";").filter((each) => each !== "")) {
      const [prefix = "", settings = ""] = part.split(":");
      const rule: Record<string, number | string> = { ...defaultRule };
      for (const setting of settings.split(",")) {
        const [name = "", value = ""] = setting.split("=");
        if (name === "slow") rule.slowReaders = value;
        else rule[FIELDS[name as keyof typeof FIELDS]] = Number(value);
      }
      this.#byPrefix.set(prefix, rule as unknown as TopicRule);
    }
  }

  of(topic: string): TopicRule {
    if (this.#byPrefix.size === 0) return this.#default;
    const colon = topic.indexOf(":");
    return this.#byPrefix.get(colon < 0 ? topic : topic.slice(0, colon)) ?? this.#default;
  }
}
