/**
 * Whether every worker has received all that the hub sent so far. A worker that ends, by death or because it is replaced,
 * may have handed out publications that others have not received yet; once those have, its end no longer matters to a
 * rebuild (rebuild.ts), and the supervisor is told. The pipes are first in, first out: an answer to a question says that all before it has arrived.
 * Hub process only.
 */
const AGAIN_MS = 1000;
/** The second covers what the workers asked for when they linked: their wishes came before their first answers. */
const ROUNDS = 2;

export class Settled {
  #running = false;
  #again: NodeJS.Timeout | undefined;
  #deaths: number;

  /** `ask` resolves with whether every expected worker answered; `tell` gets the deaths that no longer matter. */
  constructor(
    deaths: number,
    private readonly ask: () => Promise<boolean>,
    private readonly tell: (deaths: number) => void,
  ) {
    this.#deaths = deaths;
  }

  /** So many workers have died since the gateway started. */
  died(deaths: number): void {
    this.#deaths = deaths;
    void this.check();
  }

  async check(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    clearTimeout(this.#again);
    const deaths = this.#deaths;
    let answered = true;
    for (let round = 0; round < ROUNDS && answered; round++) answered = await this.ask();
    this.#running = false;
    if (answered) this.tell(deaths);
    if (answered && deaths === this.#deaths) return;
    this.#again = setTimeout(() => void this.check(), AGAIN_MS);
    this.#again.unref();
  }

  stop(): void {
    clearTimeout(this.#again);
  }
}
