/**
 * The only reader and writer of configuration files. Runs in the command line. All paths are below a root folder: "/" for this
 * host, another for a recorded host. A file is replaced by rename, so that at any moment it is either the old one or the new one.
 * Texts are read and written byte for byte (latin1), so that a replaced file can be restored exactly.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { GatewayError } from "../../src/errors.js";
import { makeFolders } from "../../src/folders.js";
import { replaceFile } from "./whole-file.js";

/** Content and attributes of a file: bytes as latin1, permission bits and owner. */
export interface FileState {
  readonly text: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Etc {
  /** Null where the file does not exist. Throws `failed` where it is not a regular file. */
  state(path: string): FileState | null;
  /** UTF-8 text; undefined where it cannot be read. */
  text(path: string): string | undefined;
  /** File names of a folder, sorted; empty where the folder does not exist. */
  names(folder: string): string[];
  /** How many of the folders above the file do not exist. */
  missingFolders(path: string): number;
  /** Throws `failed`. */
  write(path: string, state: FileState): void;
  /** Deletes the file, a half-written new one next to it, and then this many folders above it while they are empty. */
  remove(path: string, folders: number): void;
}

export function openEtc(root = "/", note: (path: string) => void = () => undefined): Etc {
  const at = (path: string): string => {
    note(path);
    return join(root, path);
  };
  return {
    state(path) {
      try {
        const { mode, uid, gid } = regular(at(path));
        return { text: readFileSync(at(path), "latin1"), mode: mode & 0o7777, uid, gid };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
        throw explained(`cannot read ${path}`, error);
      }
    },
    text(path) {
      try {
        return readFileSync(at(path), "utf8");
      } catch {
        return undefined;
      }
    },
    names(folder) {
      try {
        return readdirSync(at(folder)).sort();
      } catch {
        return [];
      }
    },
    missingFolders(path) {
      return ancestors(path).filter((folder) => !existsSync(at(folder))).length;
    },
    write(path, state) {
      try {
        makeFolders(dirname(at(path)));
        replace(at(path), state);
      } catch (error) {
        throw explained(`cannot write ${path}`, error);
      }
    },
    remove(path, folders) {
      try {
        rmSync(temporaryPath(at(path)), { force: true });
        rmSync(at(path), { force: true });
        for (const folder of ancestors(path).slice(0, folders)) removeEmpty(at(folder));
      } catch (error) {
        throw explained(`cannot remove ${path}`, error);
      }
    },
  };
}

/** Where the new file is written first. No program reads it by mistake: they read *.conf only. */
const temporaryPath = (path: string): string => `${path}.megagate-new`;

function replace(path: string, { text, mode, uid, gid }: FileState): void {
  replaceFile(path, {
    bytes: Buffer.from(text, "latin1"),
    mode,
    owner: { uid, gid },
    temporaryPath: temporaryPath(path),
  });
}

function regular(path: string): { mode: number; uid: number; gid: number } {
  const stat = lstatSync(path);
  if (!stat.isFile()) throw new Error("it is a link or not a regular file; move it away");
  return stat;
}

/** /a/b/c.conf → /a/b, /a */
function ancestors(path: string): string[] {
  const folders: string[] = [];
  for (let folder = dirname(path); folder !== "/" && folder !== "."; folder = dirname(folder)) folders.push(folder);
  return folders;
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

function explained(what: string, error: unknown): GatewayError {
  const { code, message } = error as NodeJS.ErrnoException;
  const remedy = code === "EACCES" || code === "EPERM" ? ": run as root" : "";
  return new GatewayError("failed", `${what} (${message})${remedy}`);
}
