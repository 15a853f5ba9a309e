/**
 * Catches exceptions of listeners. Such an exception is a mistake in the page or program: it is reported to its author, and
 * goes no further. Thrown on, it would end a Node process, or keep an event from other listeners and from the feed. The
 * rejection of an async listener is treated alike.
 */
import { reportError } from "./environment.js";

/** Which listener threw. */
export interface ListenerFault {
  /** `onPush`, `onState`, …; for a listener of the client itself the event's name. */
  readonly listener: string;
  readonly topic?: string;
}

export type ListenerErrors = (error: unknown, where: ListenerFault) => void;

/** In a page as an uncaught exception, so that `window.onerror` gets it; elsewhere on the console. */
export const reportListenerError: ListenerErrors = (error, { listener, topic }) => {
  reportError(error, `megagate: the listener ${listener}${topic === undefined ? "" : ` of topic ${topic}`} threw`);
};

export function shielded(call: () => unknown, where: ListenerFault, onError: ListenerErrors): void {
  const report = (error: unknown): void => {
    try {
      onError(error, where);
    } catch (fault) {
      reportListenerError(fault, { listener: "onListenerError" });
    }
  };
  try {
    const result = call();
    // A promise of any library.
    if (typeof result === "object" && result !== null && "then" in result) Promise.resolve(result).catch(report);
  } catch (error) {
    report(error);
  }
}
