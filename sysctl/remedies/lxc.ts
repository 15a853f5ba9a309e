/**
 * Needs in an LXC container, which LXD, Incus and Proxmox manage too. Pure. Its own network settings are set inside it, as on a
 * host; what belongs to the whole machine is set on its host, and limits stand in its configuration there.
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
