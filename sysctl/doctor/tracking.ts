/**
 * Finds out whether the kernel tracks connections of this network namespace, by making some. The module may be loaded, and its
 * count may be above zero from rules that no longer exist, although no new connection adds an entry: then its limit does not bind.
 * The sockets are on 127.0.0.1 and are reset at once: the entry of a reset connection expires after 10 s, that of a closed one
 * after two minutes, and the kernel may count it for a minute more. Runs in the command line and in the load coordinator.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Tree } from "../kernel/tree.js";

const COUNT = "proc/sys/net/netfilter/nf_conntrack_count";
const PROBES = 64;
/** Other entries come and go meanwhile: half as many new entries as probes are proof, a handful is not. */
const PROOF = PROBES / 2;
const TIMEOUT_MS = 3000;

/** Null where it could not be tried: no loopback, or no descriptors left. */
export async function isTracking(
  entries = (): number | undefined => new Tree("/").number(COUNT),
): Promise<boolean | null> {
  const before = entries();
  if (before === undefined) return false;
  const server = createServer();
  const sockets: Socket[] = [];
  try {
    await openProbes(server, sockets);
    return (entries() ?? before) - before >= PROOF;
  } catch {
    return null;
  } finally {
    for (const socket of sockets) socket.resetAndDestroy();
    server.close();
  }
}

/** Connects one after the other and waits for each; collects both ends, so that all are closed whatever happens. */
async function openProbes(server: Server, sockets: Socket[]): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  server.on("connection", (socket) => {
    sockets.push(socket.on("error", () => undefined));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening", { signal });
  const { port } = server.address() as { port: number };
  for (let i = 0; i < PROBES; i++) {
    const client = connect({ host: "127.0.0.1", port });
    sockets.push(client);
    await once(client, "connect", { signal });
  }
}
