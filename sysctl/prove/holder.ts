/**
 * Entry file of one holder: a child process that holds its share of one side's sockets, as an acceptor or a connector.
 * Reports its counts whenever they have changed, ten times a second at most.
 */
import { Acceptor } from "./acceptor.js";
import { leaveWithParent, say } from "./children.js";
import { Connector } from "./connector.js";
import type { HolderConfig } from "./messages.js";

const POLL_EVERY_MS = 100;

function hold(duty: HolderConfig): void {
  const holder = duty.kind === "accept" ? new Acceptor(duty) : new Connector(duty);
  let told = "";
  setInterval(() => {
    const counts = holder.poll(performance.now());
    const text = JSON.stringify(counts);
    if (text === told) return;
    told = text;
    say({ kind: "counts", counts });
  }, POLL_EVERY_MS);
}

leaveWithParent("megagate prove holder");
process.once("message", hold);
say({ kind: "ready" });
