/**
 * Everything that `megagate doctor` knows about a machine, as plain data. survey.ts fills it in, ceilings.ts does the sums;
 * neither knows the other. `null` means: could not be told here, and is reported as such.
 */
import type { Reading } from "./proc-sys.js";

/** What runs the gateway here, from the outermost marker that is certain: it decides in whose words a remedy is given. */
export type Surrounding = "host" | "systemd" | "lxc" | "docker" | "kubernetes";

export interface Facts {
  readonly kernel: string;
  /** Processors that it may use, a CPU quota counted and rounded up: as many workers are started at least. */
  readonly cores: number;
  readonly processors: Processors;
  readonly pageBytes: number;
  readonly surrounding: Surrounding;
  /** The unit, where it is a systemd service. */
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
    /** Threads and processes of the machine or, in a container, of what is seen of it. */
    readonly running: number;
    /** RLIMIT_NPROC, over all processes of the user. */
    readonly ofUser: number | null;
    /** The tightest group of those that this process is in; null where none limits. */
    readonly group: Usage | null;
  };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number } | null;
  readonly groupMemory: (Usage & { readonly version: 1 | 2 }) | null;
  readonly tcpPagesUsed: number;
  readonly tracking: {
    readonly entries: number;
    /** Entries rise with connections made here; null where nobody tried. */
    readonly live: boolean | null;
  } | null;
  readonly portsReserved: number;
  /** Linux security modules in force. */
  readonly securityModules: readonly string[] | null;
}

/** How many this process may use, by both measures. */
export interface Processors {
  /** Of the affinity mask, which cpuset groups and taskset narrow. */
  readonly allowed: number;
  /** In processors, a fraction where it is one; null where none bounds. */
  readonly quota: number | null;
}

/** A control group's limit, and what is used of it and cannot be reclaimed. */
export interface Usage {
  readonly limit: number;
  readonly used: number;
  /** The control group, as a path below its mount. */
  readonly at: string;
}

/** What is asked: how many, which ends of them live here, and from and to how many addresses client ends connect. */
export interface DoctorPlan {
  readonly connections: number;
  readonly side: "server" | "client" | "both";
  readonly listenPorts: readonly number[];
  /** Local addresses that client ends connect from; 0 is as many as needed, as on loopback. */
  readonly sources: number;
  /** Pairs of address and port that they connect to. */
  readonly destinations: number;
  /** Connections that are open already, where the gateway itself asks: what they use is not counted against them twice. */
  readonly open: number;
}
