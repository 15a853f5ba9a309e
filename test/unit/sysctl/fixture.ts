/**
 * A kernel in a temp folder: the files that sysctl/kernel/proc-sys.ts reads and writes, with the values of a stock Debian host.
 * `procSysOf` opens it as a kernel, optionally with faults: settings that cannot be written, values that are clamped, or a process
 * that is killed after so many writes. Used by the tests of this folder only.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openProcSys, type ProcSys } from "../../../sysctl/kernel/proc-sys.js";

export type Values = Readonly<Record<string, string>>;

/** As read on a 24 GiB machine with Linux 6.18, tabs included. */
export const STOCK: Values = {
  "fs.nr_open": "1048576",
  "fs.file-max": "2466183",
  "fs.epoll.max_user_watches": "5491533",
  "net.core.somaxconn": "4096",
  "net.ipv4.tcp_max_syn_backlog": "2048",
  "net.core.netdev_max_backlog": "1000",
  "net.ipv4.tcp_migrate_req": "0",
  "net.ipv4.tcp_notsent_lowat": "4294967295",
  "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
  "net.ipv4.ip_local_reserved_ports": "",
  "net.ipv4.ip_local_port_range": "32768\t60999",
  "net.ipv4.tcp_tw_reuse": "2",
  "net.ipv4.tcp_max_orphans": "131072",
  "net.ipv4.tcp_mem": "287901\t383869\t575802",
  "module.nf_conntrack.hashsize": "262144",
  "net.netfilter.nf_conntrack_max": "262144",
};

export interface Fixture {
  readonly root: string;
  readonly statePath: string;
  set(key: string, value: string): void;
  remove(key: string): void;
  get(key: string): string;
  /** Every present value, to compare with the values at another time. */
  all(): Values;
}

/** Where a key lives, spelled independently of the code under test. */
const fileOf = (key: string): string =>
  key.startsWith("module.")
    ? `sys/module/${key.split(".")[1]}/parameters/${key.split(".")[2]}`
    : `proc/sys/${key.replaceAll(".", "/")}`;

export function inFixture<T>(values: Values, action: (fixture: Fixture) => T): T {
  const root = mkdtempSync(join(tmpdir(), "megagate-kernel-"));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const get = (key: string): string => readFileSync(join(root, fileOf(key)), "utf8").replace(/\n$/, "");
  put("proc/meminfo", "MemTotal:       24684096 kB\nMemFree:        24479904 kB\n");
  put("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   20000   files\n");
  put("proc/self/status", "Name:\tnode\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-1\n");
  put("proc/sys/kernel/osrelease", "6.18.44\n");
  put("proc/sys/kernel/random/boot_id", "0f00-first-boot\n");
  put("proc/sys/net/netfilter/nf_conntrack_count", "0\n");
  mkdirSync(join(root, "proc/self/ns"), { recursive: true });
  symlinkSync("net:[4026531833]", join(root, "proc/self/ns/net"));
  for (const [key, value] of Object.entries(values)) put(fileOf(key), `${value}\n`);
  const fixture: Fixture = {
    root,
    statePath: join(root, "var/lib/megagate/tune-rollback.json"),
    set: (key, value) => put(fileOf(key), `${value}\n`),
    remove: (key) => rmSync(join(root, fileOf(key))),
    get,
    all: () => Object.fromEntries(Object.keys(values).map((key) => [key, get(key)])),
  };
  const clean = (): void => rmSync(root, { recursive: true, force: true });
  try {
    const result = action(fixture);
    if (result instanceof Promise) return result.finally(clean) as T;
    clean();
    return result;
  } catch (error) {
    clean();
    throw error;
  }
}

export interface KernelFaults {
  /** Key → errno of every write, known in advance as by access(2). */
  readonly denied?: Values;
  /** Key → errno that only the write itself gives. */
  readonly failing?: Values;
  /** Key → what the kernel makes of any value written. */
  readonly clamped?: Values;
  /** The process dies at the write after this many. */
  readonly killedAfterWrites?: number;
  readonly isRoot?: boolean;
}

export class Killed extends Error {}

export function procSysOf(fixture: Fixture, faults: KernelFaults = {}): ProcSys {
  const procSys = openProcSys(fixture.root);
  let writes = 0;
  return {
    ...procSys,
    isRoot: faults.isRoot ?? true,
    denied: (key) => faults.denied?.[key] ?? procSys.denied(key),
    write(key, text) {
      if (writes++ === faults.killedAfterWrites) throw new Killed();
      return faults.denied?.[key] ?? faults.failing?.[key] ?? procSys.write(key, faults.clamped?.[key] ?? text);
    },
  };
}

/** Compares the named fields only; node:assert has its own for this from Node 22 on. */
export function assertHas(actual: object, expected: Readonly<Record<string, unknown>>): void {
  const all = actual as Readonly<Record<string, unknown>>;
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, all[name]])), expected);
}
