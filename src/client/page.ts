/**
 * What a browser's page says about the connection: it became visible or came online, so look at once; it went offline,
 * so try rarely. In Node there is no page and this does nothing.
 */
import type { Page } from "./environment.js";

interface Listener {
  /** The page became visible. */
  woke(): void;
  cameOnline(): void;
  wentOffline(): void;
}

export class PageWatch {
  readonly #forget: (() => void)[] = [];

  constructor(page: Page, listener: Listener) {
    const { document, window } = page;
    if (document) {
      const onVisibility = (): void => {
        if (document.visibilityState === "visible") listener.woke();
      };
      document.addEventListener("visibilitychange", onVisibility);
      this.#forget.push(() => document.removeEventListener("visibilitychange", onVisibility));
    }
    if (!window) return;
    const onOnline = (): void => listener.cameOnline();
    const onOffline = (): void => listener.wentOffline();
    window.addEventListener("online", onOnline);
    window.addEventListener("offline", onOffline);
    this.#forget.push(() => {
      window.removeEventListener("online", onOnline);
      window.removeEventListener("offline", onOffline);
    });
  }

  stop(): void {
    for (const forget of this.#forget.splice(0)) forget();
  }
}
