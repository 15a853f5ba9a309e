/**
 * Which machine this is and whether the gateway can run on it: node version, processor, libc. Checked before anything
 * heavy or native is loaded, so that a wrong machine gets one plain sentence. Imports only what every Node has.
 */
import { readFileSync } from "node:fs";

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  config: { glibcOfNode: Record<string, string> };
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

/**
 * Major versions of Node that the WebSocket engine's package has a binary for, each with the oldest glibc that this binary
 * loads with (readelf -V: GLIBC_2.27, GLIBC_2.38). In package.json, because the Makefile asks before anything is compiled.
 */
const GLIBC_OF_NODE = new Map(Object.entries(manifest.config.glibcOfNode));
/** The version that needs the least of the system, and where the newer ones run. */
const UNDEMANDING = "20";
const NEWER_SYSTEMS = "Debian 13, Ubuntu 24.04 or newer";

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
  if (glibc === undefined)
    return "Megagate needs glibc; this system uses another C library (musl?). Use a Debian or Ubuntu image.";
  const [major = ""] = node.split(".");
  const needed = GLIBC_OF_NODE.get(major);
  if (needed === undefined) {
    return `Megagate needs Node ${alternatives()} (its WebSocket engine is a binary for each of them); this is Node ${node}. Install Node ${newestFor(glibc)}.`;
  }
  if (isOlder(glibc, needed)) {
    const remedy = isOlder(glibc, GLIBC_OF_NODE.get(UNDEMANDING)!)
      ? "Use a newer system"
      : `Install Node ${newestFor(glibc)}, or use a newer system (${NEWER_SYSTEMS})`;
    return `Megagate on Node ${major} needs glibc ${needed} or newer (its WebSocket engine is built for it); this is glibc ${glibc}. ${remedy}.`;
  }
  return undefined;
}

/** Node opens the files of a program many at a time: 80 were needed to load this one, and `serve` needs more to do anything. */
const MIN_NOFILE = 128;

/** One plain sentence where this process may not even open its own files; else undefined. */
export function tooFewDescriptors(limits = readFileSync("/proc/self/limits", "utf8")): string | undefined {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  if (limit >= MIN_NOFILE) return undefined;
  return `Megagate needs a descriptor limit of ${MIN_NOFILE} or more; it is ${limit} here. Raise it: ulimit -n 65536, or LimitNOFILE= in a systemd unit.`;
}

/** "20, 22 or 24" */
function alternatives(): string {
  const majors = [...GLIBC_OF_NODE.keys()];
  return `${majors.slice(0, -1).join(", ")} or ${majors.at(-1)}`;
}

/** The newest version that this glibc loads the engine of. */
function newestFor(glibc: string): string {
  return [...GLIBC_OF_NODE].findLast(([, needed]) => !isOlder(glibc, needed))?.[0] ?? UNDEMANDING;
}

function isOlder(version: string, wanted: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}
