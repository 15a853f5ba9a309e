/**
 * The gateway seen from outside: where the target is, one real handshake before anything is forked, and the admin address
 * (publish, its own count, its processes). Runs in the coordinator. Every failure names host and port, the error of the
 * operating system, and the remedy.
 */
import { lookup } from "node:dns/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { Readable } from "node:stream";
import { type AdminAccess, authorization, whyNotAdmitted } from "../../src/config/admin-access.js";
import { GatewayError } from "../../src/errors.js";
import { clientFrame, closeFrame, FrameDecoder, OPCODE } from "../generator/frames.js";
import { AnswerCheck, INCOMPLETE, KeyPool, REFUSED, UpgradeRequest } from "../generator/handshake.js";
import { parseMessage } from "../generator/protocol.js";
import type { TopicPattern } from "../generator/topics.js";

const PROBE_TIMEOUT_MS = 10_000;
const BATCH_CHARACTERS = 65_536;

export interface Target {
  readonly url: string;
  readonly address: string;
  readonly port: number;
  /** The Host header. */
  readonly host: string;
  /** With the query that subscribes, and where the connection's number stands in it; −1 where there is none. */
  readonly path: string;
  readonly numberAt: number;
  /** The gateway runs on this host, which then carries both ends of each connection. */
  readonly colocated: boolean;
}

export async function findTarget(url: string, topics: TopicPattern): Promise<Target> {
  const parsed = new URL(url);
  const name = parsed.hostname.replace(/^\[|\]$/g, "");
  const port = Number(parsed.port || 80);
  const found = await lookup(name, { verbatim: false }).catch((error: unknown) => {
    throw new GatewayError("unreachable", `cannot find the host of ${url}: ${(error as Error).message}`);
  });
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
  const query = topics.query();
  return {
    url,
    address: found.address,
    port,
    host: parsed.host,
    path: parsed.pathname + query.text,
    numberAt: query.numberAt < 0 ? -1 : parsed.pathname.length + query.numberAt,
    colocated: found.address.startsWith("127.") || own.includes(found.address),
  };
}

/** One handshake and subscription, as every connection will do it. Throws `unreachable` when it fails. */
export async function probe(target: Target, topic: string): Promise<void> {
  const complaint = await new Promise<string>((resolve) => {
    const pool = new KeyPool(1);
    const check = new AnswerCheck(pool);
    const socket = connect(target.port, target.address);
    let received = Buffer.alloc(0);
    let body = INCOMPLETE;
    const finish = (why: string): void => {
      socket.destroy();
      resolve(why);
    };
    const decoder = new FrameDecoder({
      text: (_fd, bytes, from, to) => {
        const message = parseMessage(bytes.toString("utf8", from, to));
        const subscribed = message.type === "subscribed" && message.code === 0 && message.topic === topic;
        socket.end(closeFrame(1000));
        resolve(
          subscribed ? "" : `the subscription to "${topic}" was answered with ${bytes.toString("utf8", from, to)}`,
        );
        return false;
      },
      control: (_fd, opcode) => {
        if (opcode === OPCODE.ping) socket.write(clientFrame(OPCODE.pong, Buffer.alloc(0)));
        return opcode !== OPCODE.close;
      },
      violation: (_fd, why) => finish(`the gateway broke the WebSocket protocol: ${why}`),
    });
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(`no answer within ${PROBE_TIMEOUT_MS / 1000} s`));
    socket.on("error", (error) => finish(error.message));
    socket.on("close", () => resolve("the connection was closed before the subscription was answered"));
    socket.on("connect", () => socket.write(new UpgradeRequest(target.host, target.path).withKey(pool, 0)));
    socket.on("data", (bytes) => {
      if (body >= 0) {
        decoder.feed(0, bytes, 0, bytes.length);
        return;
      }
      received = Buffer.concat([received, bytes]);
      body = check.check(received, received.length, 0);
      if (body === REFUSED) finish(`the handshake was refused: ${check.refusal}`);
      else if (body >= 0) decoder.feed(0, received, body, received.length);
    });
  });
  if (complaint === "") return;
  const where = `${target.address}:${target.port}`;
  const remedy = "start the gateway there first (make serve), or name another address with --target";
  throw new GatewayError(
    "unreachable",
    `cannot open a WebSocket at ${target.url} (${where}): ${complaint}.\nRemedy: ${remedy}`,
  );
}

export interface GatewayProcess {
  readonly role: string;
  readonly pid: number;
}

export interface Processes {
  readonly processes: readonly GatewayProcess[];
  readonly connections: number;
}

/** The admin address as the phases of a run use it: `Admin`, or a test's own. */
export type AdminClient = Pick<Admin, "access" | "processes" | "scrape" | "publish" | "publishAll" | "end">;

/** A client of the gateway's admin address. */
export class Admin {
  readonly #agent = new Agent({ keepAlive: true });

  readonly #key: Readonly<Record<string, string>>;
  readonly access: AdminAccess;

  /** Throws `config` where the key file is not usable. */
  constructor(access: AdminAccess) {
    this.access = access;
    this.#key = authorization(access);
  }

  /** Throws `failed`, in words, where the gateway does not accept the key. */
  async processes(): Promise<Processes> {
    const answer = await this.#ask("GET", "/processes");
    this.#refuseWithoutKey(answer);
    const { body } = answer;
    const value = JSON.parse(body) as Processes;
    return { processes: value.processes, connections: value.connections };
  }

  /** The number of connections in the gateway's metrics, and how long the scrape took. */
  async scrape(): Promise<{ connections: number; tookMs: number }> {
    const startedMs = performance.now();
    const { body } = await this.#ask("GET", "/metrics");
    const tookMs = performance.now() - startedMs;
    const values = [...body.matchAll(/^megagate_connections(?:\{[^}]*\})? (\S+)/gm)].map((match) => Number(match[1]));
    return { connections: values.length > 0 ? values.reduce((sum, n) => sum + n, 0) : Number.NaN, tookMs };
  }

  /** Publishes one message; resolves with its position, throws with the gateway's answer where it was refused. */
  async publish(topic: string, data: string, key?: string): Promise<{ epoch: string; offset: number }> {
    const named = `"topic":${JSON.stringify(topic)}${key === undefined ? "" : `,"key":${JSON.stringify(key)}`}`;
    const { status, body } = await this.#ask("POST", "/publish", `{${named},"data":${data}}`);
    const answer = JSON.parse(body) as { code?: unknown; epoch: string; offset: number };
    if (status !== 200 || answer.code !== 0) throw new Error(`publish was answered with ${status} ${body}`);
    return { epoch: answer.epoch, offset: answer.offset };
  }

  /** Publishes one message per line in one request, as fast as the gateway reads; throws unless all were accepted. */
  async publishAll(lines: Iterable<string>): Promise<void> {
    let sent = 0;
    const batches = function* (): Generator<string> {
      let batch = "";
      for (const line of lines) {
        sent++;
        batch += `${line}\n`;
        if (batch.length < BATCH_CHARACTERS) continue;
        yield batch;
        batch = "";
      }
      yield batch;
    };
    const { status, body } = await this.#stream("/publish", batches());
    const answer = JSON.parse(body) as { code?: unknown; published?: unknown };
    if (status !== 200 || answer.code !== 0 || answer.published !== sent) {
      throw new Error(`publishing ${sent} lines was answered with ${status} ${body}`);
    }
  }

  /** Publishes nothing. Throws `failed` where the key may not publish: better now than after a ramp of minutes. */
  async mayPublish(): Promise<void> {
    this.#refuseWithoutKey(await this.#stream("/publish", []));
  }

  #refuseWithoutKey({ status, body }: { status: number; body: string }): void {
    if (status !== 401 && status !== 403) return;
    const { code, error } = JSON.parse(body) as { code?: unknown; error?: unknown };
    const why = whyNotAdmitted({ status, code, error }, this.access);
    if (why !== undefined) throw new GatewayError("failed", why);
  }

  #stream(path: string, parts: Iterable<string>): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = { ...this.#key, "content-type": "application/x-ndjson" };
      const asked = request(this.#at(path), { method: "POST", headers, agent: this.#agent }, (answer) => {
        whole(answer).then(resolve, reject);
      });
      asked.on("error", reject);
      Readable.from(parts).pipe(asked);
    });
  }

  #at(path: string): string {
    return this.access.adminUrl.replace(/\/$/, "") + path;
  }

  end(): void {
    this.#agent.destroy();
  }

  #ask(method: string, path: string, body = ""): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const ofBody =
        body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const headers = { ...this.#key, ...ofBody };
      const asked = request(this.#at(path), { method, headers, agent: this.#agent }, (answer) => {
        whole(answer).then(resolve, reject);
      });
      asked.setTimeout(60_000, () => asked.destroy(new Error("no answer within 60 s")));
      asked.on("error", reject);
      asked.end(body);
    });
  }
}

async function whole(answer: IncomingMessage): Promise<{ status: number; body: string }> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return { status: answer.statusCode ?? 0, body: Buffer.concat(parts).toString() };
}
