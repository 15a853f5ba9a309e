/**
 * The files of the hub's log (hub/wal/), opened once by the supervisor and handed to each hub that it forks: memory files that
 * end with the gateway, or files in `--state-dir` under a lock. The lock is on the open file, which the hub shares: it holds
 * until the last hub has ended too, whatever became of the supervisor. Supervisor only.
 */
import { closeSync, constants, existsSync, lstatSync, openSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { GatewayError } from "../errors.js";
import { makeFolders } from "../folders.js";
import type { LogFileKind } from "../hub/wal/file.js";
import type { Log } from "../log.js";

export interface OpenLogFile {
  readonly fd: number;
  readonly kind: LogFileKind;
}

const NAMES = ["topics-a.log", "topics-b.log"];
/** What a version before the log left behind. */
const ARCHIVE = "topics.ndjson";
const MFD_CLOEXEC = 1;
const LOCK_EX_NB = 2 | 4;
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

interface LibC {
  memfd_create(name: string, flags: number): number;
  flock(fd: number, operation: number): number;
}

/** The files in the order in which they are used. Throws `config` where `--state-dir` cannot be used, in plain words. */
export async function openLogFiles(stateDir: string, log: Log): Promise<OpenLogFile[]> {
  const libc = await loadLibC();
  const disk = stateDir === "" ? [] : openStateDir(resolve(stateDir), libc, log);
  const memory = NAMES.map((name) => ({ fd: memoryFile(libc, name), kind: "memory" as const }));
  return [...disk, ...memory];
}

async function loadLibC(): Promise<LibC> {
  try {
    const { default: koffi } = await import("koffi");
    const library = koffi.load(null);
    const memfd = library.func("int memfd_create(const char *, unsigned int)");
    const flock = library.func("int flock(int, int)");
    return {
      memfd_create: (name, flags) => memfd(name, flags) as number,
      flock: (fd, operation) => flock(fd, operation) as number,
    };
  } catch (error) {
    throw new GatewayError("platform", `the log of topics needs koffi to call the C library: ${String(error)}`);
  }
}

function memoryFile(libc: LibC, name: string): number {
  const fd = libc.memfd_create(`megagate-${name}`, MFD_CLOEXEC);
  if (fd < 0)
    throw new GatewayError("platform", "the kernel gives no memory file (memfd_create) for the log of topics");
  return fd;
}

function openStateDir(dir: string, libc: LibC, log: Log): OpenLogFile[] {
  const refuse = (why: string): never => {
    throw new GatewayError("config", `--state-dir: ${dir} ${why}`);
  };
  makeFolder(dir, refuse);
  if (existsSync(join(dir, ARCHIVE))) {
    refuse(
      `holds ${ARCHIVE} of Megagate 0.1.0, which this version does not read: give another folder, or move that file away to start without what it holds`,
    );
  }
  const files: OpenLogFile[] = [];
  try {
    for (const name of NAMES) files.push({ fd: openSync(join(dir, name), OPEN_FLAGS, 0o600), kind: "disk" });
  } catch (error) {
    for (const { fd } of files) closeSync(fd);
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") refuse(`cannot hold the log: ${inWords(code, message)}`);
    const warning =
      "--state-dir: the disk is full; the log is kept in memory, and a restart will lose what topics remember";
    log("warn", warning, { dir, error: message });
    return [];
  }
  if (libc.flock(files[0]!.fd, LOCK_EX_NB) === 0) return files;
  for (const { fd } of files) closeSync(fd);
  return refuse("is used by another gateway (its log is locked): give each one a folder of its own");
}

/** Made where it is missing; must be a folder of ours that we may write to. */
function makeFolder(dir: string, refuse: (why: string) => never): void {
  const link = inspect(lstatSync, dir);
  const stat = inspect(statSync, dir);
  if (link && !stat) refuse("is a link to nothing");
  if (stat && !stat.isDirectory()) refuse("is not a folder");
  const user = process.geteuid?.() ?? 0;
  if (stat && user !== 0 && stat.uid !== user) refuse(`belongs to user ${stat.uid}, and the gateway runs as ${user}`);
  if (stat) return;
  try {
    makeFolders(dir, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    refuse(`cannot be made: ${inWords(code, message)}`);
  }
}

/** Undefined where there is nothing, or no way there. */
function inspect(how: typeof statSync, path: string): Stats | undefined {
  try {
    return how(path);
  } catch {
    return undefined;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission is denied",
  EPERM: "permission is denied",
  EROFS: "its file system is read-only",
  ELOOP: "a file of the log there is a link",
  EISDIR: "a folder stands in the place of a file of the log",
  ENOENT: "its file system takes no files or folders",
  ENOTDIR: "a part of the path is no folder",
};

const inWords = (code: string | undefined, message: string): string => WORDS[code ?? ""] ?? message;
