/** The commands and their options, as commander knows them. Rooms are loaded by the command that needs them. */
import { Command, CommanderError } from "commander";
import { plain } from "./client/plain.js";
import { addOptions, renderConfig } from "./config/help.js";
import { withIdleTimeout } from "./config/idle.js";
import { SERVE_OPTIONS } from "./config/options.js";
import { readConfigFile, resolve } from "./config/resolve.js";
import type { OptionTable } from "./config/table.js";
import { GatewayError } from "./errors.js";
import { VERSION } from "./platform.js";
import { DRAIN_OPTIONS, drain as drainPlan } from "./process/drain-command.js";
import type { PublishFlags } from "./publish/command.js";

/** Runs argv; resolves with the exit status. A command that is not content sets `process.exitCode` or throws. */
export async function run(argv: readonly string[]): Promise<number> {
  const program = new Command("megagate")
    .description("Real-time data push gateway: a million live WebSockets on one ordinary machine.")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(--help lists the options)");
  addServe(program);
  addPublish(program);
  addWatch(program);
  addRestartWorkers(program);
  addDrain(program);
  const [{ registerLoad }, { registerMillion }, { registerPlan }, { addTuneCommands }, { addDoctorCommand }] =
    await Promise.all([
      import("../load/command.js"),
      import("../load/million.js"),
      import("../load/sizing/command.js"),
      import("../sysctl/command.js"),
      import("../sysctl/doctor/command.js"),
    ]);
  registerLoad(program);
  registerMillion(program);
  registerPlan(program);
  addTuneCommands(program, { env: process.env, stdout: process.stdout });
  addDoctorCommand(program, { env: process.env, stdout: process.stdout });
  try {
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return explain(error);
  }
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof GatewayError) {
    const lines = error.detail.split("\n").map(plain);
    process.stderr.write(
      lines.length === 1 ? `megagate: ${lines[0]!}\n` : `megagate: ${error.row.text}:\n  ${lines.join("\n  ")}\n`,
    );
    return error.row.exit ?? 1;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`megagate: unexpected: ${text.split("\n").map(plain).join("\n")}\n`);
  return 1;
}

interface FileFlags {
  config?: string;
  printConfig?: true;
}

/** Resolves a command's table from its flags, the environment and `--config`. */
function resolveFlags<T extends OptionTable>(table: T, flags: FileFlags): ReturnType<typeof resolve<T>> {
  const path = flags.config ?? process.env.MEGAGATE_CONFIG;
  return resolve(table, {
    flags: { ...flags },
    env: process.env,
    ...(path !== undefined && { file: readConfigFile(path) }),
  });
}

function addServe(program: Command): void {
  const serve = program
    .command("serve")
    .description("Run the gateway in the foreground until SIGTERM or Ctrl-C.")
    .option("--config <path>", "YAML file of options, named as in --print-config (env MEGAGATE_CONFIG)")
    .option("--print-config", "print the effective configuration with its sources, and exit");
  addOptions(serve, SERVE_OPTIONS).action(async (flags: FileFlags) => {
    const resolved = withIdleTimeout(resolveFlags(SERVE_OPTIONS, flags));
    if (flags.printConfig) {
      process.stdout.write(`${renderConfig(resolved)}\n`);
      return;
    }
    const [{ serve: runServe }, { openMachine }] = await Promise.all([
      import("./process/serve.js"),
      import("../sysctl/attribution/machine.js"),
    ]);
    const { connections, port, adminPort } = resolved.config;
    process.exitCode = await runServe(resolved.config, openMachine(connections, [port, adminPort]));
  });
}

function addPublish(program: Command): void {
  program
    .command("publish")
    .description("Publish one message, or lines from stdin, through a running gateway's admin port.")
    .argument("[topic]", "topic name")
    .argument(
      "[data]",
      "JSON, or plain text, which is sent as a JSON string; - or nothing reads lines of JSON from stdin",
    )
    .option("--key <key>", "key of the topic's state that the data is the newest value of")
    .option("--delete", "delete the key")
    .option("--raw", "each line on stdin is a whole message; TOPIC is for those that name none")
    .option("--admin-url <url>", "admin address of the gateway", "http://127.0.0.1:8081")
    .action(async (topic: string | undefined, data: string | undefined, flags: PublishFlags) => {
      const { publish } = await import("./publish/command.js");
      process.stdout.write(`${await publish(flags, { topic, data, input: process.stdin })}\n`);
    });
}

function addWatch(program: Command): void {
  program
    .command("watch")
    .description("Show a topic as it changes, until Ctrl-C: its state, then each push, without a gap.")
    .argument("<topic>", "topic name")
    .option("--url <url>", "WebSocket address of the gateway", "ws://127.0.0.1:8080/ws")
    .action(async (topic: string, { url }: { url: string }) => {
      const [{ watchTopic }, { default: WebSocket }] = await Promise.all([import("./client/watch.js"), import("ws")]);
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      process.once("SIGTERM", () => stop.abort());
      // `megagate watch t | head`: the reader has seen enough.
      process.stdout.on("error", () => stop.abort());
      const write = (line: string): void => void process.stdout.write(line);
      const why = await watchTopic({ url, topic, WebSocket, write, signal: stop.signal });
      if (why !== undefined) throw new GatewayError("failed", why);
    });
}

function addRestartWorkers(program: Command): void {
  program
    .command("restart-workers")
    .description("Replace the worker processes of a running gateway one by one; the same as SIGHUP to it.")
    .option("--admin-url <url>", "admin address of the gateway", "http://127.0.0.1:8081")
    .action(async ({ adminUrl }: { adminUrl: string }) => {
      const { restartWorkers } = await import("./process/restart-command.js");
      await restartWorkers(adminUrl, (line) => void process.stdout.write(line));
    });
}

function addDrain(program: Command): void {
  const drain = program
    .command("drain")
    .description("With --plan: what an orderly stop and a rolling restart of a running gateway would take.");
  addOptions(drain, DRAIN_OPTIONS).action(async (flags: object) => {
    await drainPlan(
      resolve(DRAIN_OPTIONS, { flags: { ...flags }, env: process.env }).config,
      (text) => void process.stdout.write(text),
    );
  });
}
