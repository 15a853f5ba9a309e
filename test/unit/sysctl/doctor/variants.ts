/**
 * Hosts that differ in a few files from a recorded one: what was reported of other programs' users. Each is made in a temp
 * folder, so that a test may also write there. Used by the tests of this folder and of tune.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { HOSTS, type HostName, rootOf } from "./hosts.js";

interface Variant {
  readonly from: HostName;
  /** Path → text; "-> x" is a symbolic link. */
  readonly files: Readonly<Record<string, string | Buffer>>;
}

/** AT_PAGESZ (6), and the end. */
function auxv(pageBytes: number): Buffer {
  const vector = Buffer.alloc(32);
  vector.writeBigUInt64LE(6n, 0);
  vector.writeBigUInt64LE(BigInt(pageBytes), 8);
  return vector;
}

const CHILD = { "proc/self/ns/pid": "-> pid:[4026532206]" };
const DISK = "70 20 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard\n71 70 0:24 / /mnt/wsl rw - tmpfs none rw\n";

export const VARIANTS = {
  "arm-64k-pages": {
    from: "debian-vm",
    files: {
      "proc/self/auxv": auxv(65_536),
      "proc/sys/kernel/osrelease": "5.14.0-427.el9.aarch64+64k\n",
      "proc/sys/net/ipv4/tcp_mem": "18000\t24000\t36000\n",
    },
  },
  "conntrack-by-its-other-name": {
    from: "debian-vm",
    files: {
      "proc/sys/net/netfilter/nf_conntrack_count": "300\n",
      "etc/sysctl.conf": "net.nf_conntrack_max = 262144\n",
    },
  },
  "conntrack-without-limit": {
    from: "host-64-cores",
    files: { "proc/sys/net/netfilter/nf_conntrack_max": "0\n" },
  },
  "fresh-firewall": { from: "debian-vm", files: { "proc/sys/net/netfilter/nf_conntrack_count": "0\n" } },
  "pod-with-cpu-quota": {
    from: "kubernetes-pod",
    files: {
      "proc/self/status":
        "Name:\tnode\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nCpus_allowed_list:\t0-63\n",
      "sys/fs/cgroup/cpu.max": "200000 100000\n",
    },
  },
  "container-with-cfs-quota": {
    from: "docker-container",
    files: {
      "proc/self/cgroup": "5:cpu,cpuacct:/docker/4f1c7e0b9d3a\n4:memory:/docker/4f1c7e0b9d3a\n0::/\n",
      "proc/self/status": "Name:\tnode\nCapEff:\t0000000000000000\nCpus_allowed_list:\t0-15\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    },
  },
  "sysctl-in-every-folder": {
    from: "debian-vm",
    files: {
      "run/sysctl.d/99-zz-run.conf": "net.ipv4.tcp_max_syn_backlog = 256\n",
      "usr/lib/sysctl.d/99-zz-vendor.conf": "net.core.somaxconn = 128\n",
      "usr/local/lib/sysctl.d/99-zz-local.conf": "fs.nr_open = 65536\n",
      "etc/sysctl.d/99-zz-etc.conf": "net.core.netdev_max_backlog = 5\n",
    },
  },
  "wsl2-made-from-an-image": {
    from: "debian-vm",
    files: {
      ...CHILD,
      ".dockerenv": "",
      "proc/self/cgroup": "0::/init.scope\n",
      "proc/self/mountinfo": DISK,
      "proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n",
      "proc/sys/fs/epoll/max_user_watches": "300000\n",
    },
  },
  "lxc-container": {
    from: "debian-vm",
    files: {
      ...CHILD,
      "proc/self/cgroup": "0::/lxc.payload.web/init.scope\n",
      "sys/fs/cgroup/lxc.payload.web/memory.max": "2147483648\n",
      "sys/fs/cgroup/lxc.payload.web/memory.current": "100000000\n",
      "sys/fs/cgroup/lxc.payload.web/cpu.max": "50000 100000\n",
    },
  },
} as const satisfies Readonly<Record<string, Variant>>;

export const ALL_HOSTS = [...HOSTS, ...(Object.keys(VARIANTS) as (keyof typeof VARIANTS)[])];
export type AnyHost = (typeof ALL_HOSTS)[number];

/** Runs `action` on a copy of the host. */
export function onHost<T>(host: AnyHost, action: (root: string) => T): T {
  const root = mkdtempSync(join(tmpdir(), "megagate-host-"));
  const clean = (): void => rmSync(root, { recursive: true, force: true });
  const { from, files }: Variant =
    host in VARIANTS ? VARIANTS[host as keyof typeof VARIANTS] : { from: host as HostName, files: {} };
  cpSync(rootOf(from), root, { recursive: true, verbatimSymlinks: true });
  for (const [path, text] of Object.entries(files)) {
    const at = join(root, path);
    mkdirSync(dirname(at), { recursive: true });
    rmSync(at, { force: true });
    if (typeof text === "string" && text.startsWith("-> ")) symlinkSync(text.slice(3), at);
    else writeFileSync(at, text);
  }
  try {
    const result = action(root);
    if (result instanceof Promise) return result.finally(clean) as T;
    clean();
    return result;
  } catch (error) {
    clean();
    throw error;
  }
}
