/** Host facts are read from a made-up /proc. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { countReserved, MachineReader } from "../../../../sysctl/kernel/machine.js";

const root = `${mkdtempSync(join(tmpdir(), "megagate-host-"))}/`;
after(() => rmSync(root, { recursive: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(root + path), { recursive: true });
  writeFileSync(root + path, content);
}

describe("host", () => {
  it("reads limits, ports and memory", () => {
    write(
      "proc/meminfo",
      "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 900 kB\nBuffers: 5 kB\nCached: 100 kB\nShmem: 20 kB\nSlab: 70 kB\n",
    );
    write(
      "proc/self/limits",
      "Limit      Soft Limit  Hard Limit  Units\nMax open files            1024                 20000                files\n",
    );
    write("proc/7/limits", "Max open files            1024                 unlimited            files\n");
    write("proc/7/smaps_rollup", "Rss: 900 kB\nPss_Anon:            12 kB\n");
    write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
    write("proc/sys/net/ipv4/ip_local_reserved_ports", "8080,40000-40009\n");
    write("proc/sys/fs/file-nr", "1234\t0\t99\n");
    write("proc/sys/net/netfilter/nf_conntrack_count", "3\n");
    write("proc/loadavg", "0.1 0.2 0.3 1/345 6789\n");
    const host = new MachineReader(root);
    const facts = host.limits();
    assert.equal(facts.freeBytes, (500 + 100 + 5 - 20) * 1024);
    assert.equal(host.memory().slabBytes, 70 * 1024);
    assert.equal(facts.nofileHard, 20_000);
    assert.equal(host.nofile(7), Number.POSITIVE_INFINITY);
    assert.equal(host.nofile(8), undefined);
    assert.deepEqual([facts.portLow, facts.portHigh, facts.portsReserved], [32_768, 60_999, 10]);
    assert.deepEqual([facts.filesOpen, facts.threads, facts.conntrackCount], [1234, 345, 3]);
    assert.equal(host.anonymousBytes([7]), 12 * 1024);
    assert.equal(host.anonymousBytes([7, 8]), undefined);
    write("proc/7/status", "Name:\tnode\nUid:\t4294967294\t1\t1\t1\n");
    assert.deepEqual([host.isOurs(7), host.isOurs(8)], [false, true]);
  });

  it("knows what control groups leave: memory, tasks and processors", () => {
    write("proc/self/cgroup", "0::/pod/one\n");
    write("proc/self/status", "Cpus_allowed_list:\t0-63\n");
    write("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
    write("sys/fs/cgroup/pod/one/memory.max", "150000000\n");
    write("sys/fs/cgroup/pod/one/memory.current", "60000000\n");
    write("sys/fs/cgroup/pod/pids.max", "100\n");
    write("sys/fs/cgroup/pod/pids.current", "20\n");
    const { cores, cpus, groupMemory, groupTasks } = new MachineReader(root).limits();
    assert.deepEqual([cores, cpus], [2, 1.5]);
    assert.deepEqual(groupMemory, { limit: 150e6, used: 60e6, at: "/pod/one", version: 2 });
    assert.deepEqual(groupTasks, { limit: 100, used: 20, at: "/pod" });
  });

  it("knows which processes are the gateway's, and which count against its own group", () => {
    const host = new MachineReader(root);
    write("proc/20/cmdline", "/usr/bin/node\0/app/dist/src/process/worker.js\0");
    write("proc/20/cgroup", "0::/pod/one/gateway\n");
    write("proc/21/cmdline", "node\0dist/src/cli.js\0serve\0--port\x008080\0");
    write("proc/21/cgroup", "0::/other\n");
    write("proc/22/cmdline", "/lib/systemd/systemd-journald\0");
    const runs = [20, 21, 22, 23].map((pid) => [
      host.runs({ pid, role: "worker" }),
      host.runs({ pid, role: "supervisor" }),
    ]);
    assert.deepEqual(runs, [
      [true, false],
      [false, true],
      [false, false],
      [false, false],
    ]);
    assert.deepEqual(
      [20, 21].map((pid) => host.sharesGroup(pid)),
      [true, false],
    );
  });

  it("takes what a kernel does not have for unlimited", () => {
    const facts = new MachineReader(`${root}nothing/`).limits();
    assert.equal(facts.conntrackCount, 0);
    assert.equal(facts.epollWatches, Number.POSITIVE_INFINITY);
    assert.deepEqual([facts.portLow, facts.portHigh, facts.portsReserved], [32_768, 60_999, 0]);
  });

  it("counts reserved ports inside the range once", () => {
    assert.equal(countReserved("", 1, 100), 0);
    assert.equal(countReserved("5,5,90-110,200", 1, 100), 12);
  });
});
