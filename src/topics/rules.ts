/**
 * What a topic remembers, by its prefix (the part before the first `:`). Pure; hub and workers hold the same rules, so
 * that a replica keeps as much as the hub. Text form: `user:history=0,keys=0;exts:keys=50000,slow=conflate`.
 */

/**
 * What becomes of a reader whose buffer is full when a push comes. `disconnect`: it may catch up from the history for as
 * long as its grace lasts and the history has all that it missed, else it is cut. `conflate`: when it can take
 * more it gets the newest push of each key. `drop`: it goes on with the present, and is told which offsets it missed.
 */
export const SLOW_POLICIES = ["disconnect", "conflate", "drop"] as const;
export type SlowPolicy = (typeof SLOW_POLICIES)[number];

export interface TopicRule {
  /** Publications kept for clients that come back. */
  readonly historyCount: number;
  readonly historyBytes: number;
  readonly historySeconds: number;
  /** Greatest number of keys whose last value is kept; 0 keeps none. */
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

/** What the option table holds the text to. */
export const RULES_PATTERN = new RegExp(`^${RULE}(?:;${RULE})*$`);

export class TopicRules {
  readonly #byPrefix = new Map<string, TopicRule>();

  constructor(
    private readonly usual: TopicRule,
    text: string,
  ) {
    for (const part of text.split(";").filter((each) => each !== "")) {
      const [prefix = "", settings = ""] = part.split(":");
      const rule: Record<string, number | string> = { ...usual };
      for (const setting of settings.split(",")) {
        const [name = "", value = ""] = setting.split("=");
        if (name === "slow") rule.slowReaders = value;
        else rule[FIELDS[name as keyof typeof FIELDS]] = Number(value);
      }
      this.#byPrefix.set(prefix, rule as unknown as TopicRule);
    }
  }

  of(topic: string): TopicRule {
    if (this.#byPrefix.size === 0) return this.usual;
    const colon = topic.indexOf(":");
    return this.#byPrefix.get(colon < 0 ? topic : topic.slice(0, colon)) ?? this.usual;
  }
}
