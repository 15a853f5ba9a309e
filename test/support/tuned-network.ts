/**
 * The kernel settings of `tune` without which some tests have nothing to see, in a network namespace of the test file's own: the
 * machine's stay as they are.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { enterNewNamespace } from "../../sysctl/prove/namespace.js";

const SETTINGS = {
  /** Unlimited, the kernel takes megabytes for a reader that has stopped; `tune` sets 16,384. */
  "net.ipv4.tcp_notsent_lowat": { value: 16_384, suffices: (now: number) => now <= 65_536 },
  /** At 0 the kernel resets what waits in the queue of a listening socket that is closed; at 1 another of the port takes it. */
  "net.ipv4.tcp_migrate_req": { value: 1, suffices: (now: number) => now === 1 },
} as const;

/**
 * Enters a network namespace of its own, tuned. False, or the reason why this file's tests cannot be tried here. `more`: further
 * settings, made only where there is such a namespace.
 */
export function tunedNetwork(more: Readonly<Record<string, string>> = {}): string | false {
  try {
    enterNewNamespace();
    for (const [key, { value }] of Object.entries(SETTINGS)) writeFileSync(pathOf(key), String(value));
    for (const [key, value] of Object.entries(more)) writeFileSync(pathOf(key), value);
    return false;
  } catch {
    const wanting = Object.entries(SETTINGS).filter(([key, { suffices }]) => !suffices(present(key)));
    return (
      wanting.length > 0 &&
      `needs ${wanting.map(([key, { value }]) => `${key}=${value}`).join(" and ")}: make tune, or run the tests as root`
    );
  }
}

const pathOf = (key: string): string => `/proc/sys/${key.replaceAll(".", "/")}`;

/** NaN, which never suffices, on a kernel that has no such setting. */
function present(key: string): number {
  try {
    return Number(readFileSync(pathOf(key), "utf8"));
  } catch {
    return Number.NaN;
  }
}
