/**
 * What becomes of an exception in a listener, which is a mistake of the page's or program's author: it is told to them,
 * and goes no further. Thrown on, it would end a Node process, or keep other listeners and the feed from what they are
 * owed. An async listener's rejection is the same mistake.
 */
import { reportError } from "./environment.js";

/** Which listener threw. */
export interface ListenerFault {
  /** `onPush`, `onState`, …; for a listener of the client itself the event's name. */
  readonly listener: string;
  readonly topic?: string;
}

export type ListenerErrors = (error: unknown, where: ListenerFault) => void;

/** In a page as an uncaught exception, so that `window.onerror` hears it; elsewhere on the console. */
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
    // Any library's promise.
    if (typeof result === "object" && result !== null && "then" in result) Promise.resolve(result).catch(report);
  } catch (error) {
    report(error);
  }
}
