/**
 * Lets large pieces of work go one by one, each in a turn of the event loop of its own, so that whatever else has come
 * meanwhile (a publication) waits for one of them and not for all. Hub process only.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #next: NodeJS.Immediate | undefined;

  /** Resolves when it is the caller's turn; what it does before its next await is the piece. */
  mine(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#goOn();
    });
  }

  #goOn(): void {
    if (this.#waiting.length === 0) return;
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#waiting.shift()?.();
      this.#goOn();
    });
  }
}
