/**
 * What a new hub waits for. Its memory is read from the log, but its workers dial in one after the other, each asking again
 * for everything it follows. Until all have asked, or `OPEN_MS` are over, no publication is taken, so that histories are not
 * used up before the workers have caught up; and until all have asked nothing is forgotten that one of them may follow.
 * Hub process only.
 */
export const OPEN_MS = 2000;

export interface ReopeningDeps {
  /** Publications are taken from now on; `relinked`: workers that have asked for everything. */
  onOpen(relinked: number): void;
  /** Every expected worker has asked for everything. */
  onComplete(): void;
}

export class Reopening {
  readonly #relinked = new Set<number>();
  #isOpen = false;
  #isComplete = false;
  readonly #timer: NodeJS.Timeout | undefined;

  /** `isRestart` is false at the start of the gateway: its workers are born later, and nobody waits for them. */
  constructor(
    private expected: number,
    isRestart: boolean,
    private readonly deps: ReopeningDeps,
  ) {
    if (isRestart) this.#timer = setTimeout(() => this.#open(), OPEN_MS);
    else this.#open();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Expected workers that have not asked yet. */
  get missing(): number {
    return Math.max(0, this.expected - this.#relinked.size);
  }

  /** So many worker processes there are now. */
  expect(workers: number): void {
    this.expected = workers;
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
    this.deps.onComplete();
  }

  #open(): void {
    clearTimeout(this.#timer);
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.deps.onOpen(this.#relinked.size);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
