/**
 * Whether the kernel tracks connections made in this network namespace, found out by making some: the module may be loaded,
 * and its count above zero from rules long gone, without any new connection adding an entry. Then its limit does not bind.
 * Sockets are on 127.0.0.1 and reset at once: an entry of a reset connection expires after 10 s, of a closed one after two
 * minutes, and the kernel may count it for a minute more.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Tree } from "../kernel/tree.js";

const COUNT = "proc/sys/net/netfilter/nf_conntrack_count";
const PROBES = 64;
/** The rest of the machine's entries come and go meanwhile: half of the probes seen is proof, a handful is not. */
const PROOF = PROBES / 2;
const PATIENCE_MS = 3000;

/** Null where it could not be tried: no loopback, no descriptors left. */
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

/** One after the other, each established; collects both ends, so that all are closed whatever happens. */
async function openProbes(server: Server, sockets: Socket[]): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
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
