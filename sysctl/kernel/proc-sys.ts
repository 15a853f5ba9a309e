/**
 * The only reader and writer of kernel settings (/proc/sys and module parameters). Runs in the command line.
 * All paths are below a root folder: "/" for this machine, another folder for a recorded host. Only this file turns a key into
 * a path, so that a rollback file, which holds keys, can name nothing but settings.
 */
import { accessSync, closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Tree } from "./tree.js";

/** A value as the kernel shows it, without its line end; or the errno name with which reading failed. */
export type Reading = { readonly text: string } | { readonly code: string };

/** The boot and the network namespace that the values belong to. */
export interface KernelIdentity {
  readonly bootId: string;
  readonly network: string;
}

export interface ProcSys {
  read(key: string): Reading;
  /** The errno name with which a write would fail; undefined where it may succeed. Writes nothing. */
  denied(key: string): string | undefined;
  /** Undefined when the kernel accepted the text, else the errno name. */
  write(key: string, text: string): string | undefined;
  identity(): KernelIdentity;
  readonly isRoot: boolean;
}

/** A recorded host is a folder of ordinary files: whoever may write them counts as root there. */
export function openProcSys(root = "/", tree = new Tree(root)): ProcSys {
  const at = (key: string): string => tree.at(pathOf(key));
  return {
    isRoot: process.geteuid?.() === 0 || root !== "/",
    read(key) {
      try {
        return { text: readFileSync(at(key), "utf8").replace(/\n$/, "") };
      } catch (error) {
        return { code: errnoName(error) };
      }
    },
    denied(key) {
      return attempt(() => accessSync(at(key), constants.W_OK));
    },
    write(key, text) {
      return attempt(() => writeOnce(at(key), `${text}\n`));
    },
    identity() {
      return {
        bootId: tree.text("proc/sys/kernel/random/boot_id") ?? "",
        network: tree.link("proc/self/ns/net") ?? "",
      };
    },
  };
}

/** net.core.somaxconn → proc/sys/net/core/somaxconn; module.nf_conntrack.hashsize → sys/module/…/parameters/hashsize. */
function pathOf(key: string): string {
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/.test(key)) throw new Error(`not a kernel setting: ${key}`);
  const parts = key.split(".");
  if (parts[0] === "module" && parts.length === 3) return join("sys/module", parts[1]!, "parameters", parts[2]!);
  return join("proc/sys", ...parts);
}

/** One write call, because the kernel takes each call for a whole value. Never creates a file. */
function writeOnce(path: string, text: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_TRUNC);
  try {
    writeSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}

function attempt(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return errnoName(error);
  }
}

/** An errno is the kernel's answer and is reported; any other error is a defect of ours and is rethrown. */
function errnoName(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
  return code;
}
