/** A real gateway for tests: `megagate serve` on free ports, ended by handle. Use with `await using`. */
import { type ChildProcess, spawn } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { until } from "./wait.js";

export const CLI = fileURLToPath(new URL("../../src/cli.js", import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One run of the command line. */
export class Run {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Exit>;

  constructor(readonly process: ChildProcess) {
    process.stdout?.on("data", (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    process.stderr?.on("data", (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.ended = new Promise((resolve) => {
      process.once("close", (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }
}

/** As whom a command runs, and under which descriptor limit; by default as the test does. */
export interface RunEnvironment {
  readonly user?: number;
  readonly nofile?: number;
  /** Further names in its environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Another copy of the program. */
  readonly program?: string;
}

export function cli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  { user, nofile, program = CLI }: RunEnvironment = {},
): Run {
  const limit = nofile === undefined ? "" : `ulimit -n ${nofile} && `;
  const command = ["-c", `${limit}exec "$0" "$@"`, process.execPath, program, ...args];
  const as = user === undefined ? {} : { uid: user, gid: user };
  return new Run(spawn("sh", command, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], ...as }));
}

/** Two that were free a moment ago, for commands that take no port 0. */
export async function freePorts(): Promise<{ port: string; adminPort: string }> {
  const servers = await Promise.all(
    [0, 1].map(async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const [port, adminPort] = servers.map((server) => String((server.address() as AddressInfo).port));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { port: port!, adminPort: adminPort! };
}

export interface ProcessRow {
  readonly role: "supervisor" | "hub" | "worker";
  readonly pid: number;
  readonly worker?: number;
  readonly connections?: number;
}

export class Gateway implements AsyncDisposable {
  private constructor(
    readonly run: Run,
    readonly port: number,
    readonly adminPort: number,
  ) {}

  static start(...args: string[]): Promise<Gateway> {
    return Gateway.startIn({}, ...args);
  }

  static async startIn(environment: RunEnvironment, ...args: string[]): Promise<Gateway> {
    const run = cli(
      ["serve", "--port", "0", "--admin-port", "0", "--connections", "2000", ...args],
      environment.env,
      environment,
    );
    const over = (): boolean => run.process.exitCode !== null || run.process.signalCode !== null;
    await until(
      "gateway is ready",
      () => run.stdout,
      (text) => over() || text.includes("\n"),
      30_000,
    ).catch((error: unknown) => {
      // What does not come up must not stay either.
      run.process.kill("SIGTERM");
      throw new Error(`${String(error)}\n${run.stderr}`);
    });
    if (over()) throw new Error(`the gateway ended: ${run.stderr}`);
    const { clients, admin } = JSON.parse(run.stdout) as { clients: string; admin: string };
    const gateway = new Gateway(run, Number(new URL(clients).port), Number(new URL(admin).port));
    await until(
      "gateway says ready",
      () => gateway.status("/readyz"),
      (status) => status === 200,
    );
    return gateway;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  admin(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.adminPort}${path}`, init);
  }

  async status(path: string): Promise<number> {
    const response = await this.admin(path);
    await response.arrayBuffer();
    return response.status;
  }

  async publish(topic: string, data: unknown): Promise<{ epoch: string; offset: number }> {
    const response = await this.admin("/publish", { method: "POST", body: JSON.stringify({ topic, data }) });
    if (!response.ok) throw new Error(`publish: ${response.status} ${await response.text()}`);
    return (await response.json()) as { epoch: string; offset: number };
  }

  /** One sample of the scrape; labels as they stand there, such as `{reason="client"}`. */
  async metric(name: string): Promise<number> {
    const text = await (await this.admin("/metrics")).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    if (line === undefined) throw new Error(`no metric ${name}`);
    return Number(line.slice(name.length + 1));
  }

  /** Waits until a sample has this value: workers report once a second, each in its own time. */
  async shows(name: string, value: number): Promise<void> {
    await until(
      name,
      () => this.metric(name),
      (sample) => sample === value,
    );
  }

  async processes(): Promise<ProcessRow[]> {
    const { processes } = (await (await this.admin("/processes")).json()) as { processes: ProcessRow[] };
    return processes;
  }

  async stop(): Promise<Exit> {
    this.run.process.kill("SIGTERM");
    return await this.run.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = await this.stop();
    if (exit.code !== 0) throw new Error(`the gateway ended with ${exit.code ?? exit.signal}: ${exit.stderr}`);
  }
}
