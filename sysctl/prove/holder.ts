/**
 * Entry file of one holder: a child of the step process that holds its share of the server's or of the clients' ends.
 * Reports its counts when they have changed, ten times a second at most.
 */

import { leaveWithParent, sendReport } from "./children.js";
import { ClientEnds } from "./client-ends.js";
import type { HolderConfig } from "./messages.js";
import { ServerEnds } from "./server-ends.js";

const POLL_EVERY_MS = 100;

function hold(config: HolderConfig): void {
  const holder = endsOf(config);
  let reported = "";
  setInterval(() => {
    const counts = holder.poll(performance.now());
    const text = JSON.stringify(counts);
    if (text === reported) return;
    reported = text;
    sendReport({ type: "counts", counts });
  }, POLL_EVERY_MS);
}

function endsOf(config: HolderConfig): ServerEnds | ClientEnds {
  switch (config.type) {
    case "accept":
      return new ServerEnds(config);
    case "connect":
      return new ClientEnds(config);
  }
}

leaveWithParent("megagate prove holder");
process.once("message", hold);
sendReport({ type: "ready" });
