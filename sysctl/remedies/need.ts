/**
 * What a plan needs of the host, container or pod that runs it, in no format yet. tune and the doctor create needs; docker.ts,
 * kubernetes.ts, lxc.ts and files.ts render them. Pure. `kind` is a public field of megagate.doctor.v1, hence not `type`.
 */

interface Remark {
  /** What happens without it, in one sentence; becomes a comment. */
  readonly why?: string;
  /** If present, the line stays a comment for this reason (without a full stop). */
  readonly leftOut?: string;
}

export interface SysctlNeed extends Remark {
  readonly kind: "sysctl";
  /** As a sysctl.d file spells it, never "module.…". */
  readonly key: string;
  readonly value: string;
  /** "namespace": each network namespace has its own; "host": one for the machine, out of a container's reach. */
  readonly scope: "namespace" | "host";
  /** Kernel module without which the key does not exist. */
  readonly module?: string;
}

export type Need =
  | SysctlNeed
  /** Hard and soft descriptor limit of one process. */
  | ({ readonly kind: "nofile"; readonly value: number } & Remark)
  /** Processes and threads together: cgroup pids, TasksMax. */
  | ({ readonly kind: "tasks"; readonly value: number } & Remark)
  /** Memory that the control group must be allowed, kernel memory included. */
  | ({ readonly kind: "memory"; readonly bytes: number } & Remark);

export const sysctlsOf = (needs: readonly Need[]): SysctlNeed[] => needs.filter((need) => need.kind === "sysctl");

/** The maximum that the needs of one kind ask for; undefined where none does. */
export function maxNeeded(needs: readonly Need[], kind: "nofile" | "tasks" | "memory"): number | undefined {
  const values = needs.flatMap((need) => {
    if (need.kind !== kind || need.leftOut !== undefined) return [];
    return [need.kind === "memory" ? need.bytes : (need as { value: number }).value];
  });
  return values.length === 0 ? undefined : Math.max(...values);
}

/** Text lines as comment lines. */
export const comments = (text: string): string[] => text.split("\n").map((line) => (line === "" ? "#" : `# ${line}`));

/** Reason and left-out reason of a need, as comment lines. */
export function remarks(need: Need): string[] {
  return [
    ...(need.why === undefined ? [] : comments(need.why)),
    ...(need.leftOut === undefined ? [] : comments(`Left out: ${need.leftOut}.`)),
  ];
}
