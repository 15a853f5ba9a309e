/** The commands and their options, as commander knows them. Rooms are loaded by the command that needs them. */
import { Command, CommanderError } from "commander";
import { plain } from "../client/plain.js";
import type { AdminAccess } from "../config/admin-access.js";
import { withDevSize } from "../config/dev.js";
import { noticesOf } from "../config/environment.js";
import { faultsOf } from "../config/faults.js";
import { ADMIN_KEY_FILE, ADMIN_URL, CLIENT_URL, TOKEN_FILE } from "../config/gateway-address.js";
import { addOptions, renderConfig, variablesOf } from "../config/help.js";
import { withIdleTimeout } from "../config/idle.js";
import { SERVE_OPTIONS } from "../config/options.js";
import { type Resolved, readConfigFile, resolve } from "../config/resolve.js";
import { GatewayError } from "../errors.js";
import { VERSION } from "../platform.js";
import { DRAIN_OPTIONS, drain as drainPlan } from "./drain.js";
import { outputStatus } from "./output.js";
import type { PublishFlags } from "./publish.js";

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
      import("../../load/command.js"),
      import("../../load/million.js"),
      import("../../load/sizing/command.js"),
      import("../../sysctl/tune/command.js"),
      import("../../sysctl/doctor/command.js"),
    ]);
  registerLoad(program);
  registerMillion(program);
  registerPlan(program);
  addTuneCommands(program, { env: process.env, stdout: process.stdout });
  addDoctorCommand(program, { env: process.env, stdout: process.stdout });
  program.hook("preAction", (_program, command) => {
    // The gateway puts them into its log.
    if (command.name() !== "serve") tellAll(noticesFor(command));
  });
  try {
    await program.parseAsync([...argv]);
    // A command that has set it has another result than its text.
    return process.exitCode === undefined ? await outputStatus() : Number(process.exitCode);
  } catch (error) {
    const status = explain(error);
    // Help ends like a fault.
    return status === 0 ? await outputStatus() : status;
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
  process.stderr.write(`megagate: ${unexpected(error).split("\n").map(plain).join("\n")}\n`);
  return 1;
}

/** What the operating system refused is for the user to mend; anything else is ours, and its place is wanted. */
function unexpected(error: unknown): string {
  if (!(error instanceof Error)) return `unexpected: ${String(error)}`;
  const { code = "", syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return `unexpected: ${error.stack ?? error.message}`;
  const remedies: Readonly<Record<string, string>> = {
    EMFILE: "; raise the descriptor limit (ulimit -n, LimitNOFILE=)",
    ENFILE: "; raise fs.file-max: megagate doctor",
    EAGAIN: "; raise the limit on processes (ulimit -u, pids.max): megagate doctor",
  };
  return `the operating system refused: ${error.message}${remedies[code] ?? ""}`;
}

/** Variables that are set and mean nothing to this command. */
function noticesFor(command: Command): string[] {
  const all = (command.parent?.commands ?? []).flatMap(variablesOf);
  const known = { command: command.name(), own: new Set(variablesOf(command)), all: new Set([...all, CONFIG]) };
  return noticesOf(process.env, known);
}

const tellAll = (notices: readonly string[]): void => {
  for (const notice of notices) process.stderr.write(`megagate: ${notice}\n`);
};

interface FileFlags {
  config?: string;
  printConfig?: true;
}

/** Where a gateway's admin port is, and the key for it. */
const ADMIN_ACCESS = { adminUrl: ADMIN_URL, adminKeyFile: ADMIN_KEY_FILE };

/** The variable that names the configuration file. */
const CONFIG = "MEGAGATE_CONFIG";

function addServe(program: Command): void {
  const serve = program
    .command("serve")
    .description("Run the gateway in the foreground until SIGTERM or Ctrl-C.")
    .option("--config <path>", `YAML file of options, named as in --print-config (env ${CONFIG})`)
    .option("--print-config", "print the effective configuration with its sources, and exit");
  addOptions(serve, SERVE_OPTIONS).action(async (flags: FileFlags) => {
    const notices = noticesFor(serve);
    const resolved = resolveServe(flags, notices);
    if (flags.printConfig) {
      tellAll(notices);
      process.stdout.write(`${renderConfig(resolved)}\n`);
      return;
    }
    const { config } = resolved;
    const [{ serve: runServe }, { observeMachine: openMachine }] = await Promise.all([
      import("./serve.js"),
      import("../../sysctl/attribution/machine.js"),
    ]);
    const machine = openMachine(config.connections, [config.port, config.adminPort]);
    process.exitCode = await runServe({ config, machine, notices });
  });
}

/** Where the options are at fault, the notices may explain why. */
function resolveServe(flags: FileFlags, notices: readonly string[]): Resolved<typeof SERVE_OPTIONS> {
  try {
    const path = flags.config ?? process.env[CONFIG];
    const file = path === undefined ? {} : { file: readConfigFile(path) };
    const given = resolve(SERVE_OPTIONS, { flags: { ...flags }, env: process.env, ...file });
    const resolved = withDevSize(withIdleTimeout(given));
    const faults = faultsOf(resolved.config);
    if (faults.length > 0) throw new GatewayError("config", faults.join("\n"));
    return resolved;
  } catch (error) {
    tellAll(notices);
    throw error;
  }
}

function addPublish(program: Command): void {
  const publish = program
    .command("publish")
    .description("Publish one message, or lines from stdin, through a running gateway's admin port.")
    .argument("[topic]", "topic name")
    .argument(
      "[data]",
      "JSON, or plain text, which is sent as a JSON string; - or nothing reads lines of JSON from stdin",
    )
    .option("--key <key>", "key of the topic's state that the data is the newest value of")
    .option("--delete", "delete the key")
    .option("--raw", "each line on stdin is a whole message; TOPIC is for those that name none");
  addOptions(publish, ADMIN_ACCESS).action(
    async (topic: string | undefined, data: string | undefined, flags: Omit<PublishFlags, keyof AdminAccess>) => {
      const { config } = resolve(ADMIN_ACCESS, { command: "publish", flags: { ...flags }, env: process.env });
      const { publish: send } = await import("./publish.js");
      process.stdout.write(`${await send({ ...flags, ...config }, { topic, data, input: process.stdin })}\n`);
    },
  );
}

function addWatch(program: Command): void {
  const watch = program
    .command("watch")
    .description("Show a topic as it changes, until Ctrl-C: its state, then each push, without a gap.")
    .argument("<topic>", "topic name");
  const options = { url: CLIENT_URL, tokenFile: TOKEN_FILE, ...ADMIN_ACCESS };
  addOptions(watch, options).action(async (topic: string, flags: Record<string, unknown>) => {
    const { config, sources } = resolve(options, { command: "watch", flags, env: process.env });
    const { watchUrl, watchUntilEnd } = await import("./watch.js");
    // Who names the private address alone means the gateway that answers there.
    const isAdminAlone = sources.url === "default" && sources.adminUrl !== "default";
    const url = isAdminAlone ? await watchUrl(config) : config.url;
    await watchUntilEnd({ url, topic, tokenFile: config.tokenFile });
  });
}

function addRestartWorkers(program: Command): void {
  const restart = program
    .command("restart-workers")
    .description("Replace the worker processes of a running gateway one by one; the same as SIGHUP to it.");
  addOptions(restart, ADMIN_ACCESS).action(async (flags: Record<string, unknown>) => {
    const { config } = resolve(ADMIN_ACCESS, { command: "restart-workers", flags, env: process.env });
    const { restartWorkers } = await import("./restart-workers.js");
    await restartWorkers(config, (line) => void process.stdout.write(line));
  });
}

function addDrain(program: Command): void {
  const drain = program
    .command("drain")
    .description("With --plan: what an orderly stop and a rolling restart of a running gateway would take.");
  addOptions(drain, DRAIN_OPTIONS).action(async (flags: object) => {
    await drainPlan(
      resolve(DRAIN_OPTIONS, { command: "drain", flags: { ...flags }, env: process.env }).config,
      (text) => void process.stdout.write(text),
    );
  });
}
