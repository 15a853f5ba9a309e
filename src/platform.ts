/**
 * Which machine this is and whether the gateway can run on it: node version, processor, libc. Checked before anything
 * heavy or native is loaded, so that a wrong machine gets one plain sentence. Imports only what every Node has.
 */
import { readFileSync } from "node:fs";

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
}
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as Manifest;

export const VERSION = manifest.version;
/** As it stands in package.json: "npm:uwebsockets@3.0.6" for the mirror, a GitHub address for the official build. */
export const UWS_VERSION = manifest.dependencies["uWebSockets.js"] ?? "unknown";

export interface Machine {
  readonly platform: string;
  readonly arch: string;
  readonly node: string;
  /** "2.36"; undefined where the C library is not glibc. */
  readonly glibc: string | undefined;
}

export const NODE_MAJOR = 20;
const OLDEST_GLIBC: readonly [number, number] = [2, 27];

export function thisMachine(): Machine {
  const report = process.report as { excludeNetwork?: boolean; getReport(): object };
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  return {
    platform: process.platform,
    arch: process.arch,
    node: process.versions.node,
    glibc: header.glibcVersionRuntime,
  };
}

/** One plain sentence with the remedy, or undefined when the gateway can run here. */
export function unsupported(machine: Machine): string | undefined {
  const { platform, arch, node, glibc } = machine;
  if (platform !== "linux") return `Megagate runs on Linux only; this is ${platform}.`;
  if (arch !== "x64" && arch !== "arm64") return `Megagate needs an x64 or arm64 processor; this is ${arch}.`;
  if (Number(node.split(".")[0]) !== NODE_MAJOR) {
    return `Megagate needs Node ${NODE_MAJOR} (its WebSocket engine is a binary for that version); this is Node ${node}.`;
  }
  if (glibc === undefined)
    return "Megagate needs glibc; this system uses another C library (musl?). Use a Debian or Ubuntu image.";
  const [major = 0, minor = 0] = glibc.split(".").map(Number);
  if (major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1])) {
    return `Megagate needs glibc ${OLDEST_GLIBC.join(".")} or newer; this is ${glibc}.`;
  }
  return undefined;
}

/** Node opens the files of a program many at a time: 80 were needed to load this one, and `serve` needs more to do anything. */
const LEAST_NOFILE = 128;

/** One plain sentence where this process may not even open its own files; else undefined. */
export function tooFewDescriptors(limits = readFileSync("/proc/self/limits", "utf8")): string | undefined {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  if (limit >= LEAST_NOFILE) return undefined;
  return `Megagate needs a descriptor limit of ${LEAST_NOFILE} or more; it is ${limit} here. Raise it: ulimit -n 65536, or LimitNOFILE= in a systemd unit.`;
}
