/**
 * `megagate doctor --record DIR`: writes this host as files, for --root on another machine. The list of files is noted while
 * doctor and tune read them here, so that a file that they read in future is not forgotten. Runs in the command line; writes
 * below DIR only. Made to be sent to support: of the environment it keeps only the variables that mark a pod or a container, and
 * no file holds host names or addresses.
 */
import { readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import { openProcSys } from "../kernel/proc-sys.js";
import { RECORDING, type SurveyedHost } from "../kernel/recorded.js";
import { Tree } from "../kernel/tree.js";
import { kernelPlan } from "../plan.js";
import { DROP_IN_PATH, LIMITS_PATH, MODULES_PATH, SYSCTL_PATH } from "../remedies/files.js";
import { SETTINGS } from "../settings.js";
import { openEtc } from "../tune/etc.js";
import { leftovers } from "../tune/leftovers.js";
import { survey } from "./survey.js";

/** All that is kept of an environment, because environments hold secrets. */
const RUNTIME_VARIABLES = /^(?:KUBERNETES_SERVICE_HOST|container)=/;

/** Records the host; resolves with a sentence for the user. Throws `config` where the folder cannot be used. */
export async function record(path: string, host: SurveyedHost): Promise<string> {
  const folder = resolve(path);
  makeEmpty(folder);
  const paths = pathsRead(host.root);
  const tracked = await host.tracks();
  const kept = paths.filter((path) => copy(join(host.root, path), join(folder, path)));
  const recording = { schema: "megagate.recording.v1", recordedAt: new Date().toISOString(), tracked };
  writeFileSync(join(folder, RECORDING), `${JSON.stringify(recording, null, 2)}\n`);
  return (
    `${kept.length} files of this host are recorded in ${folder}: \`megagate doctor --root ${folder}\` and \`megagate tune --root ${folder}\` ` +
    "work on them as on the host itself. Read them through before you send them on.\n"
  );
}

function makeEmpty(folder: string): void {
  try {
    makeFolders(folder);
    if (readdirSync(folder).length === 0) return;
  } catch (error) {
    throw new GatewayError("config", `--record: ${folder} cannot be made (${(error as Error).message})`);
  }
  throw new GatewayError("config", `--record: ${folder} is not empty: name a new folder`);
}

/** Every path that doctor and tune read, whether the file exists or not. */
function pathsRead(root: string): readonly string[] {
  const paths = new Set<string>();
  const note = (path: string): void => void paths.add(path.replace(/^\/+/, ""));
  const tree = new Tree(root, note);
  const plan = kernelPlan(survey(root, null, tree), { connections: 1, listenPorts: [], coLocated: true });
  const procSys = openProcSys(root, tree);
  procSys.identity();
  for (const { key, alias } of SETTINGS) for (const name of [key, alias ?? key]) procSys.read(name);
  const etc = openEtc(root, note);
  leftovers(etc, procSys, plan);
  for (const path of [MODULES_PATH, SYSCTL_PATH, LIMITS_PATH, DROP_IN_PATH]) note(path);
  return [...paths];
}

/** False where the file does not exist or cannot be read: the recording leaves it out then. */
function copy(from: string, to: string): boolean {
  try {
    const isNamespace = /\/proc\/self\/ns\/[^/]+$/.test(from);
    const isFolder = !isNamespace && statSync(from).isDirectory();
    const content = isNamespace || isFolder ? undefined : contentOf(from);
    makeFolders(isFolder ? to : dirname(to));
    // Such a link points to no file: only its target text is needed.
    if (isNamespace) symlinkSync(readlinkSync(from), to);
    if (content !== undefined) writeFileSync(to, content, { mode: 0o644 });
    return !isFolder;
  } catch {
    return false;
  }
}

function contentOf(path: string): Buffer {
  const bytes = readFileSync(path);
  if (!path.endsWith("/environ")) return bytes;
  const kept = bytes
    .toString("latin1")
    .split("\0")
    .filter((entry) => RUNTIME_VARIABLES.test(entry));
  return Buffer.from(kept.map((entry) => `${entry}\0`).join(""), "latin1");
}
