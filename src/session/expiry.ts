/**
 * Which sockets are to be closed because their token expires: one list for each second in which any does, looked at in the
 * worker's tick, so that no socket has a timer. Costs about 13 bytes a socket. A socket knows its place in its list, and one
 * that closes gives it to the last of the list, so that lists hold open sockets only. Worker only.
 */

/** What an identity (admission/authentication.ts) shows of this. */
export interface Expiring {
  readonly expirySecond: number;
  expirySlot: number;
}

/** Sockets that expire together are closed over this time, because they all come back. */
export const EXPIRY_SPREAD_SECONDS = 10;

/** Seconds that are walked one by one; beyond it the clock was set, and the lists are searched. */
const MAX_WALK_SECONDS = 3600;

export class TokenExpiry<S> {
  readonly #identityOf: (socket: S) => Expiring;
  readonly #bySecond = new Map<number, S[]>();
  /** Seconds that are over whose sockets are not all closed, the oldest first. */
  #due: number[] = [];
  /** The lists up to here are due. */
  #nowSecond: number;
  /** Sockets that are closed in a second, until no due one is left. */
  #perSecond = 0;

  constructor(identityOf: (socket: S) => Expiring, nowSecond: number) {
    this.#identityOf = identityOf;
    this.#nowSecond = nowSecond;
  }

  opened(socket: S): void {
    const identity = this.#identityOf(socket);
    const { expirySecond } = identity;
    let sockets = this.#bySecond.get(expirySecond);
    if (!sockets) {
      sockets = [];
      this.#bySecond.set(expirySecond, sockets);
      // The clock was set back, or the token expired while its handshake was answered.
      if (expirySecond <= this.#nowSecond) this.#due.push(expirySecond);
    }
    identity.expirySlot = sockets.push(socket) - 1;
  }

  closed(socket: S): void {
    const { expirySecond, expirySlot } = this.#identityOf(socket);
    const sockets = this.#bySecond.get(expirySecond)!;
    const last = sockets.pop()!;
    if (last !== socket) {
      sockets[expirySlot] = last;
      this.#identityOf(last).expirySlot = expirySlot;
    }
    if (sockets.length === 0) this.#bySecond.delete(expirySecond);
  }

  /** Once a second. Calls `close` for the sockets whose turn it is, which must call `closed` before it returns. */
  tick(nowSecond: number, close: (socket: S) => void): void {
    this.#advance(nowSecond);
    this.#due = this.#due.filter((second) => this.#bySecond.has(second));
    const waiting = this.#due.reduce((sum, second) => sum + this.#bySecond.get(second)!.length, 0);
    this.#perSecond = waiting === 0 ? 0 : Math.max(this.#perSecond, Math.ceil(waiting / EXPIRY_SPREAD_SECONDS));
    let left = this.#perSecond;
    for (const second of this.#due) {
      for (let last = this.#lastOf(second); last !== undefined && left > 0; last = this.#lastOf(second)) {
        left -= 1;
        close(last);
      }
    }
  }

  #lastOf(second: number): S | undefined {
    return this.#bySecond.get(second)?.at(-1);
  }

  #advance(nowSecond: number): void {
    if (nowSecond - this.#nowSecond > MAX_WALK_SECONDS) {
      const over = [...this.#bySecond.keys()].filter((second) => second > this.#nowSecond && second <= nowSecond);
      this.#due.push(...over.sort((a, b) => a - b));
      this.#nowSecond = nowSecond;
    }
    while (this.#nowSecond < nowSecond) {
      this.#nowSecond += 1;
      if (this.#bySecond.has(this.#nowSecond)) this.#due.push(this.#nowSecond);
    }
  }
}
