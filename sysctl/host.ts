/**
 * The only reader and writer of kernel values and limits. Runs in the command line.
 * Everything is read below a root folder, "/" in earnest and a fixture tree in tests; a key is turned into a path here
 * and nowhere else, so that a rollback file, which holds keys, can name nothing but settings.
 */
import { accessSync, closeSync, constants, openSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** A value as the kernel shows it, without its line end; or the errno name that reading gave. */
export type Reading = { readonly text: string } | { readonly code: string };

/** Which kernel, and which network namespace of it, the values belong to. */
export interface Identity {
  readonly bootId: string;
  readonly network: string;
}

interface Facts {
  readonly memoryBytes: number;
  readonly nofile: number;
  readonly cores: number;
  readonly pageBytes: number;
  readonly kernelMajor: number;
  readonly conntrackLive: boolean;
}

export interface Host {
  read(key: string): Reading;
  /** The errno name for which a write would fail; undefined where it may be tried. Writes nothing. */
  denied(key: string): string | undefined;
  /** Undefined when the kernel took the text, else the errno name. */
  write(key: string, text: string): string | undefined;
  identity(): Identity;
  facts(): Facts;
  readonly isRoot: boolean;
}

export function openHost(root = "/"): Host {
  const at = (path: string): string => join(root, path);
  const proc = (path: string): string => textOf(() => readFileSync(at(path), "utf8"));
  return {
    isRoot: process.geteuid?.() === 0,
    read(key) {
      try {
        return { text: readFileSync(at(pathOf(key)), "utf8").replace(/\n$/, "") };
      } catch (error) {
        return { code: errnoName(error) };
      }
    },
    denied(key) {
      return attempt(() => accessSync(at(pathOf(key)), constants.W_OK));
    },
    write(key, text) {
      return attempt(() => writeOnce(at(pathOf(key)), `${text}\n`));
    },
    identity() {
      const network = textOf(() => readlinkSync(at("proc/self/ns/net")));
      return { bootId: proc("proc/sys/kernel/random/boot_id").trim(), network };
    },
    facts() {
      const memory = /^MemTotal:\s+(\d+) kB/m.exec(proc("proc/meminfo"))?.[1];
      const nofile = /^Max open files\s+\S+\s+(\d+)/m.exec(proc("proc/self/limits"))?.[1];
      const kernel = /^\d+/.exec(proc("proc/sys/kernel/osrelease"))?.[0];
      return {
        memoryBytes: Number(memory ?? 0) * 1024,
        nofile: Number(nofile ?? 1024),
        cores: availableParallelism(),
        pageBytes: pageBytesOf(at("proc/self/auxv")),
        kernelMajor: Number(kernel ?? 6),
        // Compiled in but unused, the count stays 0; the file is missing where the module is not loaded.
        conntrackLive: Number(proc("proc/sys/net/netfilter/nf_conntrack_count")) > 0,
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

/** One write call: the kernel takes each call for a whole value. Never creates a file. */
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

/** An errno is the kernel's answer and is reported; anything else is a mistake of ours and is thrown on. */
function errnoName(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
  return code;
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch (error) {
    errnoName(error);
    return "";
  }
}

/** AT_PAGESZ (6) of the auxiliary vector, pairs of 64-bit words; Node has no call for it, and ARM hosts may use 64 KiB. */
function pageBytesOf(path: string): number {
  let vector = Buffer.alloc(0);
  textOf(() => {
    vector = readFileSync(path);
    return "";
  });
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === 6n) return Number(vector.readBigUInt64LE(at + 8));
  }
  return 4096;
}
