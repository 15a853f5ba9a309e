/**
 * Everything that `megagate doctor` and `tune` know about a machine, as plain data. doctor/survey.ts reads it, and the sums in
 * plan.ts and doctor/ceilings.ts work on it; neither side imports the other. `null` means that it could not be read here: the
 * reports say "unknown" then.
 */
import type { Reading } from "./proc-sys.js";

/** What runs the gateway here, by the outermost marker that is certain: it decides in which format a remedy is printed. */
export type Runtime = "host" | "systemd" | "lxc" | "docker" | "kubernetes";

export interface MachineFacts {
  readonly kernel: string;
  /** Processors that this process may use, a CPU quota counted and rounded up: the gateway starts at least as many workers. */
  readonly cores: number;
  readonly processors: Processors;
  readonly pageBytes: number;
  readonly runtime: Runtime;
  /** The unit's name, where this is a systemd service. */
  readonly unit: string | null;
  /** A network namespace other than the machine's: host-wide net.* settings cannot be seen from it. */
  readonly ownNetwork: boolean;
  /** CAP_SYS_ADMIN: exempt from fs.file-max. */
  readonly opensBeyondFileMax: boolean;
  /** CAP_SYS_RESOURCE: the gateway raises its own descriptor limit, and is exempt from the limit on its user's tasks. */
  readonly raisesLimits: boolean;
  /** Of this process, as its children inherit it; Node raises soft to hard when it starts. */
  readonly nofile: { readonly soft: number; readonly hard: number } | null;
  /** Every key of the settings table, and those in EXTRA_KEYS of survey.ts. */
  readonly settings: ReadonlyMap<string, Reading>;
  readonly filesOpen: number;
  readonly tasks: {
    /** Threads and processes of the machine or, in a container, those of its PID namespace. */
    readonly running: number;
    /** RLIMIT_NPROC, over all processes of the user. */
    readonly ofUser: number | null;
    /** The tightest limit of the control groups that this process is in; null where none limits. */
    readonly group: Usage | null;
  };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number } | null;
  readonly groupMemory: (Usage & { readonly version: 1 | 2 }) | null;
  readonly tcpPagesUsed: number;
  readonly tracking: {
    readonly entries: number;
    /** Whether a connection made here adds an entry; null where nobody tried. */
    readonly live: boolean | null;
  } | null;
  readonly portsReserved: number;
  /** Linux security modules in force. */
  readonly securityModules: readonly string[] | null;
}

/** How many processors this process may use, by both measures. */
export interface Processors {
  /** By the affinity mask, which cpuset groups and taskset narrow. */
  readonly allowed: number;
  /** The CPU quota in processors, possibly a fraction; null where none bounds. */
  readonly quota: number | null;
}

/** A control group's limit, and the part of it that is in use and cannot be reclaimed. */
export interface Usage {
  readonly limit: number;
  readonly used: number;
  /** The control group, as a path below its mount. */
  readonly at: string;
}
