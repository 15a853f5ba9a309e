/**
 * Renders needs for a host, a service, a container or a pod: the lines that an operator pastes or runs. Pure.
 * `tune --format` prints whole profiles; the doctor prints the lines for one need. Each format has its own file next to this one.
 */
import { dockerLines, dockerProfile } from "./docker.js";
import {
  DROP_IN_PATH,
  dropIn,
  LIMITS_PATH,
  limitLines,
  MODULES_PATH,
  modulesFile,
  SYSCTL_PATH,
  sysctlFile,
} from "./files.js";
import { kubernetesLines, kubernetesProfile } from "./kubernetes.js";
import { lxcLines } from "./lxc.js";
import type { Need } from "./need.js";

export type { Need } from "./need.js";

export const DIALECTS = ["sysctl", "systemd", "docker", "kubernetes"] as const;
export type Dialect = (typeof DIALECTS)[number];
/** LXC has no profile of its own: inside the container its network settings are written as on a host. */
export const REMEDY_DIALECTS = [...DIALECTS, "lxc"] as const;
export type RemedyDialect = (typeof REMEDY_DIALECTS)[number];

/** The lines to paste or run for one need; the first line is a comment that names the file or the place. */
export function remedyLines(dialect: RemedyDialect, need: Need): string[] {
  switch (dialect) {
    case "sysctl":
      return hostLines(need);
    case "systemd":
      return unitLines(need);
    case "lxc":
      return lxcLines(need);
    case "docker":
      return dockerLines(need);
    case "kubernetes":
      return kubernetesLines(need);
  }
}

/** A whole drop-in, flag list or manifest. `head` may have several lines and becomes the first comment. */
export function renderProfile(dialect: Dialect, needs: readonly Need[], head: string): string {
  switch (dialect) {
    case "sysctl":
      return sysctlFile(needs, head);
    case "systemd":
      return systemdProfile(needs, head);
    case "docker":
      return dockerProfile(needs, head);
    case "kubernetes":
      return kubernetesProfile(needs, head);
  }
}

function systemdProfile(needs: readonly Need[], head: string): string {
  const modules = modulesFile(needs, head);
  const files = [
    ...(modules === undefined ? [] : [[MODULES_PATH, modules]]),
    [SYSCTL_PATH, sysctlFile(needs, head)],
    [DROP_IN_PATH, dropIn(needs, head)],
  ];
  return files.map(([path, text]) => `# File ${path}\n${text}`).join("\n");
}

/** At boot, sysctl.d is applied before a firewall loads the module, so the module must be loaded earlier. */
const moduleLines = (need: Need): string[] =>
  need.kind === "sysctl" && need.module !== undefined ? [`# and ${need.module} as a line of ${MODULES_PATH}`] : [];

/** A host outside of a systemd service: sysctl.d and limits.d. */
function hostLines(need: Need): string[] {
  switch (need.kind) {
    case "sysctl":
      return [`# ${SYSCTL_PATH}, then: sysctl --system`, `${need.key} = ${need.value}`, ...moduleLines(need)];
    case "nofile":
      return [`# ${LIMITS_PATH}, then log in again`, ...limitLines("nofile", need.value)];
    case "tasks":
      return [
        `# ${LIMITS_PATH}, then log in again`,
        ...limitLines("nproc", need.value),
        "# and where a control group bounds it, as root:",
        `echo ${need.value} > /sys/fs/cgroup/GROUP/pids.max`,
      ];
    case "memory":
      return ["# the control group's own file, as root:", `echo ${need.bytes} > /sys/fs/cgroup/GROUP/memory.max`];
  }
}

function unitLines(need: Need): string[] {
  if (need.kind === "sysctl") {
    const file = `# ${SYSCTL_PATH}, then: systemctl restart systemd-sysctl`;
    return [file, `${need.key} = ${need.value}`, ...moduleLines(need)];
  }
  const [, , ...settings] = dropIn([need], "").split("\n");
  return [
    `# ${DROP_IN_PATH}, then: systemctl daemon-reload && systemctl restart megagate`,
    ...settings.filter((line) => line !== ""),
  ];
}
