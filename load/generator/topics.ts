/**
 * The topic of a connection: one for all, or, with `{n}` in the pattern, one for each, made from the connection's number.
 * Numbers are padded to the same length, so that all requests have the same length. Pure; runs in coordinator and generators.
 */
const MARK = "{n}";

export class TopicPattern {
  readonly digits: number;
  readonly #before: string;
  readonly #after: string;

  constructor(
    readonly pattern: string,
    connections: number,
  ) {
    const [before = "", after] = pattern.split(MARK);
    this.isOwn = after !== undefined;
    this.digits = String(Math.max(0, connections - 1)).length;
    this.#before = before;
    this.#after = after ?? "";
  }

  /** Each connection has a topic of its own. */
  readonly isOwn: boolean;

  /** The topic of connection number `n`. */
  of(n: number): string {
    return this.isOwn ? `${this.#before}${this.padded(n)}${this.#after}` : this.pattern;
  }

  padded(n: number): string {
    return String(n).padStart(this.digits, "0");
  }

  /** The query that subscribes connection 0, and the position of its number in it; −1 where there is none. */
  query(): { text: string; numberAt: number } {
    const head = "?topics=";
    const text = head + encodeURIComponent(this.of(0));
    return { text, numberAt: this.isOwn ? head.length + encodeURIComponent(this.#before).length : -1 };
  }
}
