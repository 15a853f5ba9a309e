/**
 * Renders needs as flags of `docker run`, one a line, and as comments where only the host can be changed. Pure.
 * Docker sets a container's own network settings (--sysctl); with --network host it refuses them, and the host's apply.
 */
import { comments, type Need, remarks, type SysctlNeed } from "./need.js";

/** Shell text: the commands for the host as comments, then `docker run` with every flag. */
export function dockerProfile(needs: readonly Need[], head: string): string {
  const isHostWide = (need: Need): need is SysctlNeed => need.kind === "sysctl" && need.scope === "host";
  const onHost = needs.filter(isHostWide);
  const flags = needs.filter((need) => !isHostWide(need) && need.leftOut === undefined);
  const lines = [
    ...comments(head),
    "#",
    "# On the host first, as root: one value for the whole machine, so no container can set it.",
    "# Skip a line where `sysctl KEY` shows more already.",
    ...onHost.flatMap((need) => [...remarks(need), `#   sysctl -w ${assignment(need)}`]),
    "#",
    "# With --network host leave out every --sysctl (Docker refuses them) and set those values on the host as well.",
    ...flags.flatMap((need) => (need.why === undefined ? [] : comments(`${nameOf(need)}: ${need.why}`))),
    "docker run \\",
    ...flags.map((need) => `  ${dockerFlag(need)} \\`),
    "  IMAGE serve",
  ];
  return `${lines.join("\n")}\n`;
}

export function dockerLines(need: Need): string[] {
  if (need.kind === "sysctl" && need.scope === "host") {
    return ["# on the host, not in the container, as root:", `sysctl -w ${assignment(need)}`];
  }
  return ["# docker run, one more flag:", dockerFlag(need)];
}

function dockerFlag(need: Need): string {
  switch (need.kind) {
    case "sysctl":
      return `--sysctl ${assignment(need)}`;
    case "nofile":
      return `--ulimit nofile=${need.value}:${need.value}`;
    case "tasks":
      return `--pids-limit ${need.value}`;
    case "memory":
      return `--memory ${need.bytes}b`;
  }
}

const nameOf = (need: Need): string => (need.kind === "sysctl" ? need.key : need.kind);

/** Quoted for a shell: three numbers are separated by spaces. */
const assignment = ({ key, value }: SysctlNeed): string =>
  /^[\w.,-]*$/.test(value) ? `${key}=${value}` : `'${key}=${value}'`;
