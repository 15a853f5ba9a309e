/** The one kernel setting without which slow readers are hardly ever seen, for a test file, and the machine's left as it is. */
import { readFileSync, writeFileSync } from "node:fs";
import { enterNewNamespace } from "../../sysctl/prove/namespace.js";

/** Unlimited, the kernel takes megabytes for a reader that has stopped (KERNEL.md fact 7); `tune` sets 16,384. */
const LOWAT = "/proc/sys/net/ipv4/tcp_notsent_lowat";

/** Enters a network namespace of its own, tuned. False, or the reason why slow readers cannot be tried here. */
export function tunedNetwork(): string | false {
  try {
    enterNewNamespace();
    writeFileSync(LOWAT, "16384");
    return false;
  } catch {
    const isTuned = Number(readFileSync(LOWAT, "utf8")) <= 65_536;
    return isTuned ? false : "needs root, or net.ipv4.tcp_notsent_lowat=16384 (make tune)";
  }
}
