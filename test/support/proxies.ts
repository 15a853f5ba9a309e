/**
 * nginx and HAProxy before a gateway, each run with the shipped file (sysctl/deploy/proxy), in which only addresses and
 * ports are replaced. Ended by handle. Use with `await using`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./wait.js";

export type ProxyName = "nginx" | "haproxy";
export const PROXIES: readonly ProxyName[] = ["nginx", "haproxy"];

const SHIPPED = { nginx: "nginx.conf", haproxy: "haproxy.cfg" } as const;

/** The ports of the gateway behind it. */
interface Behind {
  readonly port: number;
  readonly adminPort: number;
}

/** A port that is free at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface StartedProxy {
  readonly name: ProxyName;
  readonly port: number;
  readonly process: ChildProcess;
  /** Of its configuration; removed at the end. */
  readonly folder: string;
}

export class ProxyServer implements AsyncDisposable {
  readonly name: ProxyName;
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  #output = "";

  private constructor(started: StartedProxy) {
    const { name, port, process, folder } = started;
    this.name = name;
    this.port = port;
    this.#process = process;
    this.#folder = folder;
    process.stderr?.on("data", (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
  }

  static async start(name: ProxyName, gateway: Behind): Promise<ProxyServer> {
    const folder = mkdtempSync(join(tmpdir(), `megagate-${name}-`));
    const port = await freePort();
    const shipped = readFileSync(join("sysctl/deploy/proxy", SHIPPED[name]), "utf8");
    const file = join(folder, SHIPPED[name]);
    writeFileSync(file, withPorts(shipped, port, gateway));
    const process = name === "nginx" ? startNginx(folder, file) : startHaproxy(file);
    const proxy = new ProxyServer({ name, port, process, folder });
    try {
      await until(
        "the proxy answers",
        () => proxy.status("/healthz"),
        (status) => status === 200,
      );
    } catch (error) {
      await proxy[Symbol.asyncDispose]();
      throw new Error(`${String(error)}\n${proxy.#output}`);
    }
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  fetch(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, { headers });
  }

  /** 0 if there is no answer. */
  async status(path: string): Promise<number> {
    try {
      const response = await this.fetch(path);
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Each pattern must match: a shipped file that has changed must not be tried with its own ports. */
function withPorts(shipped: string, port: number, gateway: Behind): string {
  const changes: [from: RegExp, to: string][] = [
    [/^(\s+)(listen|bind) :?80;?$/m, `$1$2 127.0.0.1:${port}${shipped.includes("proxy_pass") ? ";" : ""}`],
    [/^(\s+server (?:gate1 )?)127\.0\.0\.1:8080/m, `$1127.0.0.1:${gateway.port}`],
  ];
  if (shipped.includes("port 8081")) changes.push([/^(\s+server gate1 .* port) 8081$/m, `$1 ${gateway.adminPort}`]);
  return changes.reduce((text, [from, to]) => {
    if (!from.test(text)) throw new Error(`the shipped file has no line like ${from.source}`);
    return text.replace(from, to);
  }, shipped);
}

const ENV = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };

/** The file belongs into nginx' http block; the rest is a minimal nginx.conf. */
function startNginx(folder: string, file: string): ChildProcess {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const main = `daemon off; worker_processes 2; pid ${folder}/pid; error_log stderr;
events { worker_connections 8192; }
http { access_log off; ${temporary.join(" ")} include ${file}; }
`;
  const path = join(folder, "main.conf");
  writeFileSync(path, main);
  return spawn("nginx", ["-p", folder, "-c", path], { env: ENV, stdio: ["ignore", "ignore", "pipe"] });
}

const startHaproxy = (file: string): ChildProcess =>
  spawn("haproxy", ["-db", "-f", file], { env: ENV, stdio: ["ignore", "ignore", "pipe"] });
