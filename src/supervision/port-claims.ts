/**
 * Keeps two gateways off one port. Workers share the public port by SO_REUSEPORT, which lets every other process of the
 * same user in as well, so the supervisor holds, as long as it lives, an abstract unix socket named after each of its
 * ports: such a name belongs to the network namespace, as the port does, and goes with the process, however it ends.
 * Another gateway that asks there learns who holds it. Supervisor only; nothing else may depend on these sockets.
 */
import { readFileSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { covers, overlap } from "../config/host-address.js";
import { GatewayError } from "../errors.js";
import { findPort } from "./ports.js";

const PREFIX = "megagate:port:";
/** For the holder's word who it is: it may be stopped or busy. */
const ANSWER_MS = 500;
/** Two that start at once on overlapping addresses see each other; the narrower one yields, in this time. */
const YIELD_MS = 1000;
/** Tries to find a free port that no other gateway takes in the same moment. */
const FREE_PORT_TRIES = 8;

/** The port of one purpose, as the options name it; port 0 takes a free one. */
export interface WantedPort {
  readonly what: "public" | "admin";
  readonly host: string;
  readonly port: number;
}

export class PortClaims {
  readonly #held = new Map<Server, WantedPort>();

  /** The port, claimed until `release`. Throws `config` with the holder and the remedy where it cannot be had. */
  async take({ what, host, port }: WantedPort): Promise<number> {
    if (port !== 0) {
      if ([...this.#held.values()].some((held) => held.port === port && overlap(held.host, host)))
        throw new GatewayError("config", `--port and --admin-port are both ${port}: choose two`);
      await this.#claim({ what, host, port });
      return await findPort(what, host, port);
    }
    for (let tries = 1; ; tries++) {
      const free = await findPort(what, host, 0);
      try {
        await this.#claim({ what, host, port: free });
        return free;
      } catch (error) {
        if (tries >= FREE_PORT_TRIES) throw error;
      }
    }
  }

  release(): void {
    for (const server of this.#held.keys()) server.close();
    this.#held.clear();
  }

  async #claim(wanted: WantedPort): Promise<void> {
    const { host, port } = wanted;
    const server = await listen(nameOf(host, port));
    if (server === undefined) throw await isHeld(wanted, host);
    this.#held.set(server, wanted);
    const endMs = performance.now() + YIELD_MS;
    for (;;) {
      const other = overlapping(host, port);
      if (other === undefined) return;
      if (covers(other, host) || performance.now() >= endMs) {
        this.#held.delete(server);
        server.close();
        throw await isHeld(wanted, other);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const nameOf = (host: string, port: number): string => `\0${PREFIX}${port}:${host}`;

/** Undefined where the name is taken. */
function listen(name: string): Promise<Server | undefined> {
  const holder = JSON.stringify({ pid: process.pid, since: new Date().toISOString() });
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(holder);
  });
  // A claim alone keeps no process alive.
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}

/** An address of another claim on this port that takes the same connections: one of the two covers the other. */
function overlapping(host: string, port: number): string | undefined {
  const mine = `@${PREFIX}${port}:`;
  const listening = "00010000";
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n")) {
    const at = line.indexOf(mine);
    if (at < 0 || line.split(/\s+/)[3] !== listening) continue;
    // Node pads the name with zero bytes, which the kernel shows as @.
    const other = line.slice(at + mine.length).replace(/@+$/, "");
    if (other !== host && overlap(other, host)) return other;
  }
  return undefined;
}

async function isHeld({ what, host, port }: WantedPort, by: string): Promise<GatewayError> {
  const { pid, since } = await whoHolds(by, port);
  const option = what === "public" ? "--port" : "--admin-port";
  const where = by === host ? "" : ` on ${by}`;
  const holder = pid === undefined ? "which does not say who it is" : `process ${pid}, since ${since}`;
  const remedy = `Stop that one, or choose another port with ${option} (ss -xlp | grep ${PREFIX}${port} shows it)`;
  return new GatewayError(
    "config",
    `${what} port ${port} on ${host} is held by another gateway${where} (${holder}). ${remedy}.`,
  );
}

interface Holder {
  readonly pid?: number;
  readonly since?: string;
}

function whoHolds(host: string, port: number): Promise<Holder> {
  return new Promise((resolve) => {
    let text = "";
    const socket = createConnection(nameOf(host, port));
    const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.length > 1000) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(parse(text));
    });
  });
}

/** Another program may hold a name like ours: nothing more of its answer is believed. */
function parse(text: string): Holder {
  try {
    const { pid, since } = JSON.parse(text) as { pid?: unknown; since?: unknown };
    if (typeof pid === "number" && Number.isSafeInteger(pid) && typeof since === "string" && /^[\d:.TZ-]+$/.test(since))
      return { pid, since };
  } catch {
    // It said something else.
  }
  return {};
}
