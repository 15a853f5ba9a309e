/** One attack: connects, sends bytes in pieces with or without pauses, and leaves in some way. All of it from one seed. */
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { mutated, spliced } from "./mutate.js";
import { Random } from "./random.js";
import { adminRequest, flood, frameOf, handshake } from "./shapes.js";

export type Target = "public" | "admin";

export interface Outcome {
  readonly bytesSent: number;
  readonly answer: "upgraded" | "http" | "nothing";
}

/** The bytes of an attack on the public port. */
function publicBytes(random: Random): Buffer {
  const hello = handshake(random);
  const frames = (n: number): Buffer =>
    Buffer.concat(Array.from({ length: 1 + random.below(n) }, () => frameOf(random)));
  switch (random.below(10)) {
    case 0:
      return random.bytes(1 + random.below(400));
    case 1:
      return mutated(hello, random, 1 + random.below(5));
    case 2:
      return Buffer.concat([hello, handshake(random), frames(4)]);
    case 3:
      return Buffer.concat([hello, flood(random)]);
    case 4:
      return spliced(Buffer.concat([hello, frames(6)]), Buffer.concat([hello, frames(6)]), random);
    case 5:
      return Buffer.concat([hello, frames(12)]);
    default:
      return Buffer.concat([hello, mutated(frames(12), random, 1 + random.below(6))]);
  }
}

/** The bytes of an attack on the admin port; one in three is right. */
function adminBytes(random: Random): Buffer {
  const requests = Buffer.concat(Array.from({ length: 1 + random.below(4) }, () => adminRequest(random)));
  if (random.chance(0.3)) return requests;
  return random.chance(0.1) ? random.bytes(1 + random.below(400)) : mutated(requests, random, 1 + random.below(6));
}

export const bytesOf = (target: Target, random: Random): Buffer =>
  target === "public" ? publicBytes(random) : adminBytes(random);

/** Resolves when the connection is gone. */
export async function attack(target: Target, port: number, seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const bytes = bytesOf(target, random);
  // From many addresses: limits by address are another test's.
  const socket = connect({
    port,
    host: "127.0.0.1",
    localAddress: `127.7.${random.below(250)}.${1 + random.below(250)}`,
  });
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    if (received.length < 100) received += chunk.toString("latin1");
  });
  socket.on("error", () => undefined);
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const bytesSent = await send(socket, bytes, random);
  await Promise.race([gone, pause(random.below(100))]);
  const leaving = random.below(4);
  if (leaving < 2) socket.resetAndDestroy();
  else if (leaving === 2) socket.destroy();
  else {
    socket.end();
    await Promise.race([gone, pause(500)]);
    socket.destroy();
  }
  await gone;
  const answer = received.includes(" 101 ") ? "upgraded" : received.startsWith("HTTP/") ? "http" : "nothing";
  return { bytesSent, answer };
}

/** At once, or in up to eight pieces. */
async function send(socket: Socket, bytes: Buffer, random: Random): Promise<number> {
  const pieces = random.chance(0.5) ? 1 : 1 + random.below(8);
  let at = 0;
  for (let left = pieces; left > 0 && !socket.destroyed; left--) {
    const end = left === 1 ? bytes.length : at + random.below(bytes.length - at + 1);
    socket.write(bytes.subarray(at, end));
    at = end;
    if (left > 1) await pause(random.below(6));
  }
  return at;
}
