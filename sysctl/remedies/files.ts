/**
 * Renders the files of a Linux host that keep limits over a boot: modules-load.d, sysctl.d, limits.d and a systemd drop-in.
 * Pure. `--format sysctl|systemd` prints them and `--persist` writes them (tune/persist.ts). Their paths are defined here only.
 */
import { comments, maxNeeded, type Need, remarks, sysctlsOf } from "./need.js";

export const SYSCTL_PATH = "/etc/sysctl.d/99-megagate.conf";
export const MODULES_PATH = "/etc/modules-load.d/99-megagate.conf";
export const LIMITS_PATH = "/etc/security/limits.d/99-megagate.conf";
export const DROP_IN_PATH = "/etc/systemd/system/megagate.service.d/limits.conf";

/** sysctl.d(5): one `key = value` a line, with the reason above it. */
export function sysctlFile(needs: readonly Need[], head: string): string {
  const blocks = sysctlsOf(needs).map((need) => {
    const line = `${need.key} = ${need.value}`;
    return [...remarks(need), need.leftOut === undefined ? line : `# ${line}`];
  });
  return file([comments(head), ...blocks]);
}

/** modules-load.d(5), one name a line, read before sysctl.d is applied; undefined where no setting needs a module. */
export function modulesFile(needs: readonly Need[], head: string): string | undefined {
  const modules = new Set(sysctlsOf(needs).flatMap((need) => (need.leftOut === undefined ? (need.module ?? []) : [])));
  if (modules.size === 0) return undefined;
  const notes = `Their settings in ${SYSCTL_PATH} exist only once they are loaded, and a firewall may load them later.`;
  return file([comments(`${head}\n${notes}`), [...modules]]);
}

/** limits.d, read by pam_limits at login. */
export function limitsFile(needs: readonly Need[], head: string): string {
  const nofile = maxNeeded(needs, "nofile");
  const notes = `Read at login: log in again for it. Services do not read it: for them there is ${DROP_IN_PATH}.`;
  return file([comments(`${head}\n${notes}`), nofile === undefined ? [] : limitLines("nofile", nofile)]);
}

/**
 * `*` does not cover root (limits.conf(5)). Hard limits only: Node takes the hard limit at start, and a high soft one
 * breaks programs that still use select().
 */
export const limitLines = (item: "nofile" | "nproc", value: number): string[] =>
  ["*", "root"].map((user) => `${user} hard ${item} ${value}`);

/** A systemd drop-in for megagate.service. */
export function dropIn(needs: readonly Need[], head: string): string {
  const settings = [
    ["LimitNOFILE", maxNeeded(needs, "nofile")],
    ["TasksMax", maxNeeded(needs, "tasks")],
    ["MemoryMax", maxNeeded(needs, "memory")],
  ] as const;
  const lines = settings.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  return file([comments(head), ["[Service]", ...lines]]);
}

const file = (blocks: string[][]): string =>
  `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
