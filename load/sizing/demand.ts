/**
 * The question of a plan: the demand of the clients, the machine that must meet it, and the shares of the machine that a plan
 * may use. Types and constants only; the field names are public (megagate.plan.v1).
 */

export interface Demand {
  /** Over all servers. */
  readonly connections: number;
  /** Distinct topics, over all connections. */
  readonly topics: number;
  /** Topics of each connection. */
  readonly subscriptions: number;
  /** Of a publication's data, as JSON text. */
  readonly messageBytes: number;
  /** Messages that each connection receives a minute, over all its topics. */
  readonly perMinute: number;
  readonly tls: boolean;
  /** 0: clients send none, and the gateway pings them. */
  readonly heartbeatSeconds: number;
  /** Of a hundred readers, how many stall at the same moment. */
  readonly stalledPercent: number;
  /** The client ends are on the same machine, as in `make million`. */
  readonly clientsHere: boolean;
}

export interface ServerMachine {
  /** May be a fraction, where a CPU quota applies. */
  readonly cores: number;
  readonly memoryBytes: number;
  /** Processes and threads that the control group still allows; undefined without such a limit, and for another machine. */
  readonly tasks?: number;
  /** Hard descriptor limit of one process. */
  readonly nofile: number;
  readonly nicGbit: number;
  /** Ports that connect() may choose from one source address. */
  readonly portsPerAddress: number;
}

/** The rest is for the system, its page cache and costs outside the model. */
export const MEMORY_SHARE = 0.9;
/** Of all cores in the steady state: the rest is for bursts, reconnects and garbage collection. A choice. */
export const CPU_SHARE = 0.6;
/** Of the one core that the hub process can use. */
export const HUB_SHARE = 0.6;
/** Of the card, in one direction. */
export const NIC_SHARE = 0.7;

/** Ports of Linux's default ip_local_port_range, 32768 to 60999. */
export const CLIENT_PORTS = 28_232;
