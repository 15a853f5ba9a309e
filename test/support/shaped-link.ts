/**
 * A gateway at the other end of a slow Ethernet link: two network namespaces, a veth pair between them, and `tc tbf` on the way to
 * the gateway, so that a request of more than one segment arrives in pieces, as from any real client and never on loopback.
 * The test's process enters the one namespace for good; the gateway, in the other, is ended by handle.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { enterNewNamespace } from "../../sysctl/prove/namespace.js";
import { CLI, Run } from "./gateway.js";
import { needsPrograms, needsRoot } from "./needs.js";
import { until } from "./wait.js";

const GATEWAY = "10.200.0.1";
const CLIENT = "10.200.0.2";
/** A segment of 1,514 bytes takes 47 ms. */
const SHAPE = ["rate", "256kbit", "burst", "1600", "latency", "5s"];
/** Waits for its end of the pair. */
const FAR_END = `ip link set lo up
until ip link show gate >/dev/null 2>&1; do sleep 0.05; done
ip address add ${GATEWAY}/24 dev gate && ip link set gate up && exec "$0" "$@"`;

/** Its admin port is not on loopback. */
const KEY = "0123456789abcdef0123456789abcdef";

const PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;

/** False, or why there can be no such link here. */
export function noLink(): string | false {
  const why = needsRoot("for network namespaces") || needsPrograms("ip", "tc", "unshare");
  if (why !== false) return why;
  try {
    enterNewNamespace();
    return false;
  } catch (error) {
    return `needs a network namespace of its own: ${String(error)}`;
  }
}

export class FarGateway implements AsyncDisposable {
  readonly #run: Run;
  readonly #adminPort: number;
  readonly #keys: string;

  private constructor(
    run: Run,
    readonly port: number,
    adminPort: number,
    keys: string,
  ) {
    this.#keys = keys;
    this.#run = run;
    this.#adminPort = adminPort;
  }

  /** Only if noLink() is false. */
  static async start(...args: readonly string[]): Promise<FarGateway> {
    const keys = mkdtempSync(join(tmpdir(), "megagate-far-"));
    writeFileSync(join(keys, "keys"), `test publish,read,operate ${KEY}\n`, { mode: 0o600 });
    const admin = ["--admin-host", GATEWAY, "--admin-port", "0", "--admin-keys-file", join(keys, "keys")];
    const serve = ["serve", "--host", GATEWAY, "--allow-anonymous", "--port", "0", ...admin];
    const command = ["--net", "sh", "-c", FAR_END, process.execPath, CLI, ...serve, "--connections", "100", ...args];
    const env = { ...process.env, PATH };
    const run = new Run(spawn("unshare", command, { env, stdio: ["ignore", "pipe", "pipe"] }));
    try {
      const { pid } = run.process;
      const here = readlinkSync("/proc/self/ns/net");
      await until(
        "its namespace",
        () => readlinkSync(`/proc/${pid!}/ns/net`),
        (there) => there !== here,
      );
      call("ip", "link", "add", "dial", "type", "veth", "peer", "name", "gate", "netns", String(pid));
      call("ip", "address", "add", `${CLIENT}/24`, "dev", "dial");
      call("ip", "link", "set", "dial", "up");
      call("tc", "qdisc", "add", "dev", "dial", "root", "tbf", ...SHAPE);
      const line = await until(
        "its ready line",
        () => run.stdout,
        (text) => text.includes("\n"),
        30_000,
      );
      const ready = JSON.parse(line) as { clients: string; admin: string };
      const gateway = new FarGateway(run, Number(new URL(ready.clients).port), Number(new URL(ready.admin).port), keys);
      await until(
        "it is ready",
        async () => (await gateway.admin("/readyz")).status,
        (status) => status === 200,
      );
      return gateway;
    } catch (error) {
      run.process.kill("SIGTERM");
      throw new Error(`${String(error)}\n${run.stderr}`);
    }
  }

  /** Its WebSocket's address, with a query that makes it so many bytes long. */
  url(bytes: number): string {
    const start = `ws://${GATEWAY}:${this.port}/ws?token=`;
    return start + "x".repeat(bytes - start.length);
  }

  admin(path: string, init?: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${KEY}` };
    return fetch(`http://${GATEWAY}:${this.#adminPort}${path}`, { ...init, headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#run.process.kill("SIGTERM");
    await this.#run.ended;
    rmSync(this.#keys, { recursive: true });
  }
}

function call(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { env: { PATH }, encoding: "utf8", timeout: 10_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}
