/**
 * The hub process dies at 20,000 sockets under 500 publications a second: no socket closes, what was answered is not
 * undone, what could not be published is answered 503, numbering goes on, and nobody sees a gap.
 */
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { it } from "node:test";
import { evidencePath, readEvidence, startLoad } from "../support/evidence.js";
import { Gateway } from "../support/gateway.js";
import { until } from "../support/wait.js";

const CONNECTIONS = 20_000;
const PER_SECOND = 500;
const STEP_MS = 20;

interface Answer {
  readonly topic: string;
  /** 0: the admin address did not answer. */
  readonly status: number;
  readonly atMs: number;
  readonly epoch?: string;
  readonly offset?: number;
}

/** Publishes at a fixed rate to one topic of one connection after the other. */
class Publisher {
  readonly answers: Answer[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  #open = 0;

  constructor(private readonly adminPort: number) {
    this.#timer = setInterval(() => {
      for (let i = 0; i < (PER_SECOND * STEP_MS) / 1000; i++)
        this.#publish(`user:${String(this.#sent++ % 1000).padStart(5, "0")}`);
    }, STEP_MS);
  }

  #publish(topic: string): void {
    this.#open += 1;
    const note = (status: number, body = "{}"): void => {
      this.#open -= 1;
      const { epoch, offset } = JSON.parse(body) as { epoch?: string; offset?: number };
      this.answers.push({ topic, status, atMs: performance.now(), ...(epoch && { epoch }), ...(offset && { offset }) });
    };
    const asked = request({ port: this.adminPort, path: "/publish", method: "POST", agent: this.#agent }, (answer) => {
      let body = "";
      answer.on("data", (part: Buffer) => {
        body += part.toString();
      });
      answer.on("end", () => note(answer.statusCode ?? 0, body));
    });
    asked.on("error", () => note(0));
    asked.end(JSON.stringify({ topic, data: 1 }));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await until(
      "every request is answered",
      () => this.#open,
      (n) => n === 0,
    );
    this.#agent.destroy();
  }
}

it("the hub killed at 20,000 sockets and 500 publications a second: no socket closes, nothing is lost quietly", async () => {
  await using gateway = await Gateway.start("--connections", String(CONNECTIONS));
  const report = evidencePath();
  const sizes = [
    "--connections",
    String(CONNECTIONS),
    "--topic",
    "user:{n}",
    "--hold-seconds",
    "15",
    "--broadcasts",
    "1",
  ];
  const run = startLoad(gateway, report, ...sizes);
  const connections = (): Promise<number> => gateway.metric("megagate_connections").catch(() => -1);
  await until("all are open", connections, (n) => n === CONNECTIONS, 60_000);
  const publisher = new Publisher(gateway.adminPort);
  await until(
    "publications flow",
    () => publisher.answers.length,
    (n) => n > 1500,
  );
  const hub = (await gateway.processes()).find((row) => row.role === "hub")!;
  const killedMs = performance.now();
  process.kill(hub.pid, "SIGKILL");
  const resumed = await until(
    "publications flow again",
    () => publisher.answers.find(({ status, atMs }) => status === 200 && atMs > killedMs + 100),
    (answer) => answer !== undefined,
  );
  assert.ok(resumed!.atMs - killedMs < 5000, `resumed after ${resumed!.atMs - killedMs} ms`);
  await until(
    "many more",
    () => publisher.answers.length,
    (n) => n > 4000,
    20_000,
  );
  await publisher.stop();
  const exit = await run.ended;
  const evidence = readEvidence(report);
  // Every publication was to a topic with a subscriber: each topic goes on where it was.
  for (const topic of new Set(publisher.answers.map((answer) => answer.topic))) {
    const numbered = publisher.answers.filter((answer) => answer.topic === topic && answer.status === 200);
    assert.equal(new Set(numbered.map(({ epoch }) => epoch)).size, 1, `${topic}: one epoch`);
    assert.equal(new Set(numbered.map(({ offset }) => offset)).size, numbered.length, `${topic}: no offset twice`);
  }
  const statuses = new Set(publisher.answers.map(({ status }) => status));
  assert.ok(
    [...statuses].every((status) => [200, 503, 0].includes(status)),
    [...statuses].join(),
  );
  assert.equal(exit.code, 0, exit.stdout + exit.stderr);
  assert.deepEqual([evidence.unexpectedCloses, evidence.gaps, evidence.oddMessages], [0, 0, {}]);
});
