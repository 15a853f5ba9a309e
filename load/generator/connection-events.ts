import type { Message, Subscribed } from "./protocol.js";

/** What happens to connections, for those who pace and those who count. */
export interface ConnectionEvents {
  /** Registers a descriptor for edge-triggered events; zero or a negated error number. */
  watch(fd: number, events: number): number;
  opened(fd: number, tookMs: number, answer: Subscribed): void;
  /** Attempt number `attempt` (0 is the first) of connection `number` did not lead to an open connection. */
  failed(attempt: number, reason: string, number: number): void;
  /** An open connection ended unasked. */
  lost(reason: string, number: number): void;
  /** A connection that was asked to close did. */
  ended(number: number): void;
  heartbeatAnswered(tookMs: number): void;
  /** Any other message to an open connection. */
  message(fd: number, message: Message): void;
  /** The gateway did what it should not. */
  odd(what: string): void;
}
