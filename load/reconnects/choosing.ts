/** Which connections something happens to: the share of them, spread evenly over the topics. Runs in generators. */
import type { Connections } from "../generator/connections.js";

/** `first` is the number, in the whole run, of this generator's first connection. */
export function choose(
  connections: Connections,
  first: number,
  share: number,
  act: (fd: number, number: number) => void,
): void {
  for (let fd = 0; fd < connections.top; fd++) {
    if (!connections.isOpen(fd)) continue;
    const number = connections.numberOf(fd);
    const global = first + number;
    // Each number's turn: 30 % takes three out of any ten in a row.
    if (Math.floor((global + 1) * share) > Math.floor(global * share)) act(fd, number);
  }
}
