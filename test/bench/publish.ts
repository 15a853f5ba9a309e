/**
 * `make bench`: deliveries a second (deliver.ts), and publications a second through the admin port: one by one (twice, for the noise of this machine), in
 * arrays of 100, and as one stream of lines. Each run counts only when all of it has arrived at a subscriber, in order and
 * without a gap. Bounded in time; no test, since its figures depend on the machine. `--report FILE` keeps them as JSON.
 */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { cpus, release } from "node:os";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import autocannon from "autocannon";
import { HANDSHAKE } from "../support/client.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";
import { deliver } from "./deliver.js";

const MESSAGE = { topic: "bench", data: { key: "8001", status: "talking" } };
const ARRAY_MESSAGES = 100;
const CONNECTIONS = 16;
const CHUNK_LINES = 500;
/** Hub and worker may fall behind for as long as a run lasts: what is measured is publishing, arrival is only proved. */
const PATIENT = ["--hub-queue-bytes", "1073741824", "--max-backpressure-bytes", "1048576"];

interface Figure {
  readonly run: string;
  readonly publications: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly arrivedSeconds: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
}

/** Written by the subscriber's thread: pushes received in order, pushes out of order, 1 when its connection is gone. */
interface Shared {
  readonly port: number;
  readonly seen: Int32Array;
}
const RECEIVED = 0;
const DISORDER = 1;
const GONE = 2;
const SUBSCRIBED = 3;

if (isMainThread) await bench();
else subscribe(workerData as Shared);

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: { report: { type: "string" }, seconds: { type: "string", default: "8" } },
  });
  const seconds = Number(values.seconds);
  await using gateway = await Gateway.start(...["--workers", "1"], ...PATIENT);
  const seen = new Int32Array(new SharedArrayBuffer(16));
  const subscriber = new Worker(new URL(import.meta.url), { workerData: { port: gateway.port, seen } });
  await until(
    "subscribed",
    () => Atomics.load(seen, SUBSCRIBED),
    (value) => value === 1,
  );
  const one = JSON.stringify(MESSAGE);
  const array = JSON.stringify(Array<unknown>(ARRAY_MESSAGES).fill(MESSAGE));
  const figures = [
    await measure("one by one", gateway, seen, () => cannon(gateway, one, seconds)),
    await measure("one by one, again", gateway, seen, () => cannon(gateway, one, seconds)),
    await measure(`arrays of ${ARRAY_MESSAGES}`, gateway, seen, () => cannon(gateway, array, seconds)),
    await measure("stream of lines", gateway, seen, () => stream(gateway, seconds)),
  ];
  const noise = figures[1]!.perSecond / figures[0]!.perSecond;
  process.stdout.write(`noise of this machine: the second run of the same is ${noise.toFixed(3)} of the first\n`);
  await subscriber.terminate();
  const deliveries = await deliver();
  if (values.report === undefined) return;
  const machine = { cores: cpus().length, cpu: cpus()[0]?.model, kernel: release(), node: process.version };
  const report = { at: new Date().toISOString(), machine, connections: CONNECTIONS, seconds, message: MESSAGE };
  writeFileSync(values.report, `${JSON.stringify({ ...report, noiseRatio: noise, figures, deliveries }, null, 2)}\n`);
}

/** Runs, waits until everything has arrived, prints a line. */
async function measure(
  run: string,
  gateway: Gateway,
  seen: Int32Array,
  work: () => Promise<{ seconds: number; p50Ms?: number; p99Ms?: number }>,
): Promise<Figure> {
  const before = await gateway.metric("megagate_publications_total");
  const started = performance.now();
  const { seconds, ...latency } = await work();
  const after = await gateway.metric("megagate_publications_total");
  await until(
    `${run}: every publication arrives`,
    () => [...seen],
    (now) => {
      if (now[DISORDER] !== 0) throw new Error(`${run}: ${now[DISORDER]} pushes out of order`);
      if (now[GONE] !== 0) throw new Error(`${run}: the subscriber was cut, it could not keep up`);
      return now[RECEIVED] === after;
    },
    30_000,
  );
  const arrivedSeconds = (performance.now() - started) / 1000;
  const publications = after - before;
  const figure = {
    run,
    publications,
    seconds,
    perSecond: Math.round(publications / seconds),
    arrivedSeconds,
    ...latency,
  };
  const quantiles = latency.p50Ms === undefined ? "" : `, p50 ${latency.p50Ms} ms, p99 ${latency.p99Ms} ms`;
  process.stdout.write(
    `publish, ${run}: ${figure.perSecond} a second${quantiles}; all ${publications} arrived in order\n`,
  );
  return figure;
}

async function cannon(
  gateway: Gateway,
  body: string,
  seconds: number,
): Promise<{ seconds: number; p50Ms: number; p99Ms: number }> {
  const url = `http://127.0.0.1:${gateway.adminPort}/publish`;
  const result = await autocannon({ url, method: "POST", body, connections: CONNECTIONS, duration: seconds });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} errors`);
  return { seconds: result.duration, p50Ms: result.latency.p50, p99Ms: result.latency.p99 };
}

async function stream(gateway: Gateway, seconds: number): Promise<{ seconds: number }> {
  const started = performance.now();
  const chunk = Buffer.from(`${JSON.stringify(MESSAGE)}\n`.repeat(CHUNK_LINES));
  let lines = 0;
  const body = new Readable({
    read() {
      if (performance.now() - started > seconds * 1000) return void this.push(null);
      lines += CHUNK_LINES;
      this.push(chunk);
    },
  });
  const headers = { "Content-Type": "application/x-ndjson" };
  const response = await gateway.admin("/publish", { method: "POST", headers, body, duplex: "half" });
  const answer = (await response.json()) as { published?: number };
  if (answer.published !== lines) throw new Error(`${lines} lines sent, answer ${JSON.stringify(answer)}`);
  return { seconds: (performance.now() - started) / 1000 };
}

/** Walks frames instead of using a WebSocket library: it must keep up with hundreds of thousands of pushes a second. */
function subscribe({ port, seen }: Shared): void {
  const socket = connect(port, "127.0.0.1", () => {
    socket.write(HANDSHAKE.replace("GET /ws ", `GET /ws?topics=${MESSAGE.topic} `));
  });
  let rest: Buffer = Buffer.alloc(0);
  let upgraded = false;
  let last = 0;
  let received = 0;
  socket.on("data", (chunk: Buffer) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (!upgraded) {
      const head = bytes.indexOf("\r\n\r\n");
      if (head === -1) {
        rest = bytes;
        return;
      }
      upgraded = true;
      bytes = bytes.subarray(head + 4);
    }
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at);
      if (frame === undefined) break;
      at = frame.end;
      const offset = offsetOf(bytes, frame.start);
      if (offset === undefined) Atomics.store(seen, SUBSCRIBED, 1);
      else if (offset === last + 1) received += 1;
      else Atomics.add(seen, DISORDER, 1);
      last = offset ?? last;
    }
    rest = bytes.subarray(at);
    Atomics.store(seen, RECEIVED, received);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => Atomics.store(seen, GONE, 1));
}

/** A short or middle-sized server frame that is whole. */
function frameAt(bytes: Buffer, at: number): { start: number; end: number } | undefined {
  if (bytes.length < at + 4) return undefined;
  const short = bytes[at + 1]! < 126;
  const start = at + (short ? 2 : 4);
  const end = start + (short ? bytes[at + 1]! : bytes.readUInt16BE(at + 2));
  return end <= bytes.length ? { start, end } : undefined;
}

const PUSH_HEAD = `{"topic":"${MESSAGE.topic}","offset":`;

/** The offset of a push; undefined for any other message. */
function offsetOf(bytes: Buffer, start: number): number | undefined {
  if (bytes.toString("latin1", start, start + PUSH_HEAD.length) !== PUSH_HEAD) return undefined;
  let offset = 0;
  for (let at = start + PUSH_HEAD.length; bytes[at]! >= 0x30 && bytes[at]! <= 0x39; at += 1) {
    offset = offset * 10 + bytes[at]! - 0x30;
  }
  return offset;
}
