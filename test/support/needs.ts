/**
 * What a test needs and a machine may lack, for the `skip` of a test: false, or a sentence that begins with "needs" and says how
 * to get it. test/run.ts collects these sentences at the end of a run, and fails for them where NO_SKIPS=1 is set, as in CI.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

/** Debian's package of a program, where it has another name. Each is in .ci/run too. */
const PACKAGES: Readonly<Record<string, string>> = {
  "/usr/bin/chromium": "chromium",
  promtool: "prometheus",
  ip: "iproute2",
  tc: "iproute2",
  unshare: "util-linux",
};

export function needsPrograms(...programs: readonly string[]): string | false {
  const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
  const lacking = programs.filter(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH: path } }).status !== 0,
  );
  const packages = new Set(lacking.map((name) => PACKAGES[name] ?? name));
  return lacking.length > 0 && `needs ${lacking.join(" and ")}: apt-get install ${[...packages].join(" ")}`;
}

export function needsRoot(what: string): string | false {
  return process.geteuid?.() !== 0 && `needs root, ${what}: run the tests as root`;
}

export function needsIpv6(): string | false {
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return !own.includes("::1") && "needs IPv6 on the loopback interface: sysctl net.ipv6.conf.lo.disable_ipv6=0";
}

/** Memory that could be had: what the kernel only caches is given up when it is wanted. */
export function needsMemory(gigabytes: number): string | false {
  const kilobytes = Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  return kilobytes < gigabytes * 1e6 && `needs ${gigabytes} GB of free memory`;
}

export const hardNofile = (): number =>
  Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);

export function needsDescriptors(count: number): string | false {
  const hard = hardNofile();
  return hard < count && `needs a hard descriptor limit of ${count.toLocaleString("en-US")}, has ${hard} (ulimit -Hn)`;
}
