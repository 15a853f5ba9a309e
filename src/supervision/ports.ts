/**
 * Whether the gateway may listen where it is told to. uWebSockets gives no reason when it cannot and, with SO_REUSEPORT, would
 * even share the port with another program; so the supervisor tries the port alone first and reports what is wrong.
 */
import { type AddressInfo, createServer } from "node:net";
import { GatewayError } from "../errors.js";

/**
 * The port that can be had: the given one, or a free one for 0. (uWebSockets binds port 0 without SO_REUSEPORT, so that
 * a second worker could not join it: the number must be known before.) Throws `config` when it cannot be had.
 */
export async function findPort(what: string, host: string, port: number): Promise<number> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once("error", reject);
      probe.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    throw new GatewayError("config", whyNotListening(what, host, port, error as NodeJS.ErrnoException));
  }
  const found = (probe.address() as AddressInfo).port;
  await new Promise((resolve) => probe.close(resolve));
  return found;
}

export function whyNotListening(what: string, host: string, port: number, error: NodeJS.ErrnoException): string {
  const where = `${what} port ${port} on ${host}`;
  switch (error.code) {
    case "EADDRINUSE":
      return (
        `${where} is in use. Stop what listens there (ss -ltnp 'sport = :${port}'), or choose another port. ` +
        "If nothing listens, an outgoing connection sits on the port: reserve it with `make tune`, or wait a minute."
      );
    case "EACCES":
      return `${where} needs a right that this user lacks: ports below 1024 are for root, or for a program with CAP_NET_BIND_SERVICE. Choose another port.`;
    case "EADDRNOTAVAIL":
      return `${where}: this machine has no such address. Choose one of its own, or 0.0.0.0 for all.`;
    case "EAFNOSUPPORT":
      return `${where}: this machine has no IPv6. Choose an IPv4 address, or 0.0.0.0 for all.`;
    default:
      return `${where}: ${error.message}`;
  }
}
