/**
 * What a restarted hub waits for. It has read its memory from the log, but its workers link one after the other, and each asks
 * again for everything that it follows. Until all have asked, or `OPEN_MS` have passed, the hub refuses publications, so that
 * histories are not used up before the workers have caught up; and until all have asked, it forgets no topic, because a
 * worker may follow it. Hub process only.
 */
export const OPEN_MS = 2000;

export interface ReopeningDeps {
  /** The hub accepts publications from now on. `relinked`: workers that have asked for everything. */
  onOpen(relinked: number): void;
  /** Every expected worker has asked for everything. */
  onComplete(): void;
}

export class Reopening {
  #expected: number;
  readonly #deps: ReopeningDeps;
  readonly #relinked = new Set<number>();
  #isOpen = false;
  #isComplete = false;
  readonly #timer: NodeJS.Timeout | undefined;

  /** `isRestart` is false at the start of the gateway: its workers are spawned later, and publications need not wait for them. */
  constructor(expected: number, isRestart: boolean, deps: ReopeningDeps) {
    this.#expected = expected;
    this.#deps = deps;
    if (isRestart) this.#timer = setTimeout(() => this.#open(), OPEN_MS);
    else this.#open();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Expected workers that have not asked yet. */
  get missing(): number {
    return Math.max(0, this.#expected - this.#relinked.size);
  }

  /** `workers`: how many worker processes there are now. */
  expect(workers: number): void {
    this.#expected = workers;
    this.#review();
  }

  relinked(worker: number): void {
    this.#relinked.add(worker);
    this.#review();
  }

  #review(): void {
    if (this.missing > 0) return;
    this.#open();
    if (this.#isComplete) return;
    this.#isComplete = true;
    this.#deps.onComplete();
  }

  #open(): void {
    clearTimeout(this.#timer);
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#deps.onOpen(this.#relinked.size);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
