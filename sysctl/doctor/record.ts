/**
 * `megagate doctor --record DIR`: this host as files, for --root elsewhere. What is recorded is what doctor and tune read here,
 * noted while they read it, so that a new question cannot be forgotten. Runs in the command line; writes below DIR only.
 * For support: of the environment only what tells a pod or a container is kept; host names and addresses are in none of the files.
 */
import { readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import { openHost } from "../kernel/proc-sys.js";
import { type Place, RECORDING } from "../kernel/recorded.js";
import { Tree } from "../kernel/tree.js";
import { planOf } from "../plan.js";
import { DROP_IN_PATH, LIMITS_PATH, MODULES_PATH, SYSCTL_PATH } from "../remedies/files.js";
import { SETTINGS } from "../settings.js";
import { openEtc } from "../tune/etc.js";
import { leftovers } from "../tune/leftovers.js";
import { survey } from "./survey.js";

/** Environments hold secrets. */
const TELLING = /^(?:KUBERNETES_SERVICE_HOST|container)=/;

/** Records the host; resolves with what to say. Throws `config` for a folder that cannot take it. */
export async function record(path: string, place: Place): Promise<string> {
  const folder = resolve(path);
  makeEmpty(folder);
  const paths = pathsRead(place.root);
  const tracked = await place.tracks();
  const kept = paths.filter((path) => copy(join(place.root, path), join(folder, path)));
  const recording = { schema: "megagate.recording.v1", recordedAt: new Date().toISOString(), tracked };
  writeFileSync(join(folder, RECORDING), `${JSON.stringify(recording, null, 2)}\n`);
  return (
    `${kept.length} files of this host are recorded in ${folder}: \`megagate doctor --root ${folder}\` and \`megagate tune --root ${folder}\` ` +
    "work on them as on the host itself. Look them through before you send them on.\n"
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

/** Everything that doctor and tune ask for, whether it is there or not. */
function pathsRead(root: string): readonly string[] {
  const paths = new Set<string>();
  const note = (path: string): void => void paths.add(path.replace(/^\/+/, ""));
  const tree = new Tree(root, note);
  const plan = planOf(survey(root, null, tree), { connections: 1, listenPorts: [], coLocated: true });
  const host = openHost(root, tree);
  host.identity();
  for (const { key, alias } of SETTINGS) for (const name of [key, alias ?? key]) host.read(name);
  const etc = openEtc(root, note);
  leftovers(etc, host, plan);
  for (const path of [MODULES_PATH, SYSCTL_PATH, LIMITS_PATH, DROP_IN_PATH]) note(path);
  return [...paths];
}

/** False for what is not there or cannot be read: then it is not there in the recording either. */
function copy(from: string, to: string): boolean {
  try {
    const isNamespace = /\/proc\/self\/ns\/[^/]+$/.test(from);
    const isFolder = !isNamespace && statSync(from).isDirectory();
    const content = isNamespace || isFolder ? undefined : contentOf(from);
    makeFolders(isFolder ? to : dirname(to));
    // Such a link leads nowhere elsewhere: what it says is what is asked for.
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
  const telling = bytes
    .toString("latin1")
    .split("\0")
    .filter((entry) => TELLING.test(entry));
  return Buffer.from(telling.map((entry) => `${entry}\0`).join(""), "latin1");
}
