/**
 * Thousands of raw sockets that read for a while and then stop, each in the same way; a process of its own, because both
 * ends of 15,000 connections are more than one process may have. Commanded by its parent over the IPC channel. What it
 * does while it does not read (pongs, requests, a gulp now and then) is what makes the ways differ.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { frame, HANDSHAKE } from "./client.js";

const SELF = fileURLToPath(import.meta.url);
const OPENING_AT_ONCE = 200;

/** What a reader does once it has stopped. */
export interface Stall {
  /** Sent as it stops. */
  readonly ask?: readonly object[];
  /** Sent each second from then on; `id` is added, the number of the second. */
  readonly askAgain?: readonly object[];
  readonly pongs?: boolean;
  /** In this second it takes what has come, once, and stops again. */
  readonly gulpAtSecond?: number;
}

interface Open {
  readonly port: number;
  readonly count: number;
  /** Reader n follows `topics[n % topics.length]`. */
  readonly topics: readonly string[];
}

type Order = { readonly open: Open } | { readonly stall: Stall };

/** The parent's end. */
export class StalledReaders implements AsyncDisposable {
  private constructor(private readonly child: ChildProcess) {}

  /** Resolves when all are open and read. */
  static async open(open: Open): Promise<StalledReaders> {
    const readers = new StalledReaders(fork(SELF, ["child"]));
    await readers.#order({ open });
    return readers;
  }

  async stall(stall: Stall): Promise<void> {
    await this.#order({ stall });
  }

  async #order(order: Order): Promise<void> {
    this.child.send(order);
    await Promise.race([
      once(this.child, "message"),
      once(this.child, "exit").then(([code]) => Promise.reject(new Error(`the stalled readers ended with ${code}`))),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}

const PONG = frame(10, "");
const encode = (request: object): Buffer => frame(1, JSON.stringify(request));

class Child {
  readonly #sockets: Socket[] = [];

  async open({ port, count, topics }: Open): Promise<void> {
    for (let from = 0; from < count; from += OPENING_AT_ONCE) {
      const some = Array.from({ length: Math.min(OPENING_AT_ONCE, count - from) }, (_, i) =>
        openOne(port, topics[(from + i) % topics.length]!),
      );
      this.#sockets.push(...(await Promise.all(some)));
    }
  }

  stall({ ask = [], askAgain = [], pongs = false, gulpAtSecond }: Stall): void {
    const first = Buffer.concat(ask.map(encode));
    for (const socket of this.#sockets) {
      socket.pause();
      if (first.length > 0) socket.write(first);
    }
    let second = 0;
    setInterval(() => {
      second += 1;
      const again = Buffer.concat([
        ...askAgain.map((request) => encode({ ...request, id: second })),
        ...(pongs ? [PONG] : []),
      ]);
      for (const socket of this.#sockets) {
        if (again.length > 0) socket.write(again);
        if (second === gulpAtSecond) gulp(socket);
      }
    }, 1000);
  }
}

/** Resolves once it is upgraded; from then on it reads and forgets. */
function openOne(port: number, topic: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.write(HANDSHAKE.replace("/ws", `/ws?topics=${topic}`));
    socket.once("data", (answer: Buffer) => {
      if (!answer.toString("latin1").startsWith("HTTP/1.1 101")) reject(new Error(answer.toString("latin1")));
      socket.resume();
      resolve(socket);
    });
    // One that is cut later is seen by the gateway's own counts.
    socket.on("error", reject);
  });
}

/** About 64 KB. */
function gulp(socket: Socket): void {
  socket.once("data", () => socket.pause());
  socket.resume();
}

if (process.argv[2] === "child" && process.send) {
  const child = new Child();
  process.on("disconnect", () => process.exit());
  process.on("message", (order: Order) => {
    if ("stall" in order) child.stall(order.stall);
    void ("open" in order ? child.open(order.open) : Promise.resolve()).then(
      () => process.send?.("done"),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
