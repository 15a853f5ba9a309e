/**
 * Watches the browser's page: when it becomes visible or comes online, the client checks the connection at once; while it is
 * offline, the client tries rarely. In Node there is no page, and this does nothing.
 */
import type { Page } from "./environment.js";

interface Listener {
  /** The page became visible. */
  woke(): void;
  cameOnline(): void;
  wentOffline(): void;
}

export class PageWatch {
  readonly #removers: (() => void)[] = [];

  constructor(page: Page, listener: Listener) {
    const { document, window } = page;
    if (document) {
      const onVisibility = (): void => {
        if (document.visibilityState === "visible") listener.woke();
      };
      document.addEventListener("visibilitychange", onVisibility);
      this.#removers.push(() => document.removeEventListener("visibilitychange", onVisibility));
    }
    if (!window) return;
    const onOnline = (): void => listener.cameOnline();
    const onOffline = (): void => listener.wentOffline();
    window.addEventListener("online", onOnline);
    window.addEventListener("offline", onOffline);
    this.#removers.push(() => {
      window.removeEventListener("online", onOnline);
      window.removeEventListener("offline", onOffline);
    });
  }

  stop(): void {
    for (const remove of this.#removers.splice(0)) remove();
  }
}
