/**
 * Renders needs for an LXC container, which LXD, Incus and Proxmox manage too. Pure. Its own network settings are set inside the
 * container, as on a host; settings of the whole machine are set on its host, where the container's configuration has its limits.
 */
import { SYSCTL_PATH } from "./files.js";
import type { Need } from "./need.js";

export function lxcLines(need: Need): string[] {
  switch (need.kind) {
    case "sysctl":
      if (need.scope === "host")
        return ["# on the container's host, as root:", `sysctl -w '${need.key}=${need.value}'`];
      return [`# ${SYSCTL_PATH} in the container, then: sysctl --system`, `${need.key} = ${need.value}`];
    case "nofile":
      return configured(`lxc.prlimit.nofile = ${need.value}`, `limits.kernel.nofile ${need.value}`);
    case "tasks":
      return configured(`lxc.cgroup2.pids.max = ${need.value}`, `limits.processes ${need.value}`);
    case "memory":
      return configured(`lxc.cgroup2.memory.max = ${need.bytes}`, `limits.memory ${need.bytes}B`);
  }
}

const configured = (line: string, setting: string): string[] => [
  "# the container's configuration on its host, then restart it:",
  line,
  `# with LXD or Incus instead: lxc config set NAME ${setting}`,
];
