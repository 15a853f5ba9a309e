/** The kernel's counters are read from a made-up /proc; what a kernel does not have is no proof of anything. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { takeSnapshot } from "../../../../sysctl/attribution/counters.js";
import { KernelFiles } from "../../../../sysctl/kernel/files.js";

const root = `${mkdtempSync(join(tmpdir(), "megagate-counters-"))}/`;
after(() => rmSync(root, { recursive: true }));

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, content);
  }
}

describe("counters", () => {
  it("reads what the kernel dropped, refused and holds, summed over cores", () => {
    write({
      "proc/net/netstat":
        "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPSynRetrans\nTcpExt: 1 22 23 7\nIpExt: InNoRoutes ListenDrops\nIpExt: 5 6\n",
      "proc/net/sockstat": "sockets: used 9\nTCP: inuse 4 orphan 3 tw 2 alloc 8 mem 77\n",
      "proc/net/softnet_stat": "000000ff 0000000a 00000001\n00000001 00000010 00000000\n",
      "proc/net/stat/nf_conntrack":
        "entries  found insert insert_failed drop early_drop\n00000010 0 0 00000002 0000001f 00000001\n00000010 0 0 00000001 00000001 00000000\n",
      "proc/sys/net/netfilter/nf_conntrack_count": "16\n",
      "proc/sys/net/netfilter/nf_conntrack_max": "5000\n",
      "proc/sys/net/ipv4/tcp_mem": "10\t20\t30\n",
      "proc/sys/net/ipv4/tcp_max_orphans": "99\n",
      "proc/sys/fs/file-nr": "1234\t0\t9999\n",
      "proc/sys/fs/file-max": "9999\n",
      "proc/stat": "cpu  10 1 20 100 5 2 3 4 0 0\ncpu0 1 1 1 1\n",
    });
    const seen = takeSnapshot(new KernelFiles(root));
    assert.deepEqual([seen.listenOverflows, seen.listenDrops, seen.synRetransmits], [22, 23, 7]);
    assert.deepEqual([seen.orphans, seen.orphansMax, seen.tcpPages, seen.tcpPagesMax], [3, 99, 77, 30]);
    assert.deepEqual([seen.softnetDrops, seen.conntrackDrops, seen.conntrackInsertFailures], [26, 32, 3]);
    assert.deepEqual([seen.conntrackCount, seen.conntrackMax], [16, 5000]);
    assert.deepEqual([seen.filesOpen, seen.filesMax], [1234, 9999]);
    assert.deepEqual([seen.cpuTicks, seen.cpuBusyTicks], [145, 40]);
  });

  it("reads again each time, though no more files can be opened", () => {
    write({ "proc/sys/fs/file-nr": "1\t0\t9\n" });
    const files = new KernelFiles(root);
    assert.equal(takeSnapshot(files).filesOpen, 1);
    write({ "proc/sys/fs/file-nr": "22\t0\t9\n" });
    assert.equal(takeSnapshot(files).filesOpen, 22);
  });

  it("has NaN for what is not there", () => {
    const { cpuTicks, cpuBusyTicks, ...rest } = takeSnapshot(new KernelFiles(`${root}nothing/`));
    assert.deepEqual([cpuTicks, cpuBusyTicks], [0, 0]);
    for (const [name, n] of Object.entries(rest)) assert.ok(Number.isNaN(n), name);
  });

  it("reads this machine's, in little time", () => {
    const files = new KernelFiles();
    takeSnapshot(files);
    const startedMs = performance.now();
    const seen = takeSnapshot(files);
    assert.ok(performance.now() - startedMs < 100);
    for (const name of ["listenDrops", "softnetDrops", "orphans", "tcpPagesMax", "filesOpen", "cpuTicks"] as const) {
      assert.ok(seen[name] >= 0, name);
    }
  });
});
