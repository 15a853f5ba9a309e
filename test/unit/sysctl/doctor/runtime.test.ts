/** What runs the gateway, from marks that are certain: sysctl/doctor/runtime.ts and groups.ts. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { runtimeOf } from "../../../../sysctl/doctor/runtime.js";
import { groupMemory, groupTasks } from "../../../../sysctl/kernel/control-groups.js";
import { Tree } from "../../../../sysctl/kernel/tree.js";

/** Runs `action` on a host of these files; a text that begins with "-> " is a symbolic link. */
function inTree<T>(files: Readonly<Record<string, string>>, action: (tree: Tree) => T): T {
  const root = mkdtempSync(join(tmpdir(), "megagate-doctor-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      if (text.startsWith("-> ")) symlinkSync(text.slice(3), join(root, path));
      else writeFileSync(join(root, path), text);
    }
    return action(new Tree(root));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const FIRST = { "proc/self/ns/pid": "-> pid:[4026531836]" };
const ID = "4f1c7e0b9d3a2c5e8f6071b2a3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6";
const CHILD = { "proc/self/ns/pid": "-> pid:[4026532610]" };

describe("what runs the gateway", () => {
  const cases: readonly [string, Readonly<Record<string, string>>, string, string | null][] = [
    ["a shell", { ...FIRST, "proc/self/cgroup": "0::/user.slice/user-0.slice/session-1.scope\n" }, "host", null],
    ["a machine made from an image, /.dockerenv left over", { ...FIRST, ".dockerenv": "" }, "host", null],
    ["a container", { ...CHILD, ".dockerenv": "", "proc/self/cgroup": "0::/\n" }, "docker", null],
    ["a Podman container", { ...CHILD, "run/.containerenv": "" }, "docker", null],
    [
      "a container that shares the host's PIDs",
      { ...FIRST, "proc/self/cgroup": "0::/system.slice/docker-4f1c7e0b9d3a.scope\n" },
      "docker",
      null,
    ],
    [
      "a service",
      { ...FIRST, "proc/self/cgroup": "0::/system.slice/push-gateway.service\n" },
      "systemd",
      "push-gateway.service",
    ],
    [
      "a service where control groups are of version 1",
      { ...FIRST, "proc/self/cgroup": "4:memory:/system.slice\n1:name=systemd:/system.slice/gate.service\n0::/\n" },
      "systemd",
      "gate.service",
    ],
    [
      "a pod by its group",
      { ...CHILD, ".dockerenv": "", "proc/self/cgroup": "0::/kubepods.slice/kubepods-burstable.slice/cri.scope\n" },
      "kubernetes",
      null,
    ],
    [
      "a pod by its environment",
      { ...CHILD, "proc/self/environ": "A=1\0KUBERNETES_SERVICE_HOST=10.0.0.1\0" },
      "kubernetes",
      null,
    ],
    [
      "a shell on a node, where pods' volumes are mounted",
      { ...FIRST, "proc/self/mountinfo": "90 1 0:50 / /var/lib/kubelet/pods/8d1f/volumes/token rw - tmpfs tmpfs rw\n" },
      "host",
      null,
    ],
    [
      "a shell with a pod's variable in it",
      { ...FIRST, "proc/self/environ": "KUBERNETES_SERVICE_HOST=10.0.0.1\0" },
      "host",
      null,
    ],
    [
      "WSL2 made from an image: a PID namespace and /.dockerenv, but a disk of its own",
      {
        ...CHILD,
        ".dockerenv": "",
        "proc/self/cgroup": "0::/init.scope\n",
        "proc/self/mountinfo":
          "70 20 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard\n71 70 0:24 / /mnt/wsl rw - tmpfs none rw\n",
      },
      "host",
      null,
    ],
    [
      "a container of Docker Desktop, on WSL2's kernel",
      {
        ...CHILD,
        ".dockerenv": "",
        "proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n",
        "proc/self/mountinfo": "70 20 0:60 / / rw - overlay overlay rw,lowerdir=/var/lib/desktop-containerd/a\n",
      },
      "docker",
      null,
    ],
    [
      "a shell in a PID namespace of its own (unshare), /.dockerenv left over",
      {
        ...CHILD,
        ".dockerenv": "",
        "proc/self/cgroup": "0::/user.slice/user-0.slice/session-1.scope\n",
        "proc/self/mountinfo": "27 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n",
      },
      "host",
      null,
    ],
    [
      "a service whose name begins like a container's",
      { ...FIRST, "proc/self/cgroup": "0::/system.slice/docker-compose-push.service\n" },
      "systemd",
      "docker-compose-push.service",
    ],
    [
      "nerdctl by its scope",
      { ...CHILD, "proc/self/cgroup": `0::/system.slice/nerdctl-${ID}.scope\n` },
      "docker",
      null,
    ],
    ["nerdctl by the group's name alone", { ...CHILD, "proc/self/cgroup": `0::/default/${ID}\n` }, "docker", null],
    [
      "nerdctl with a control-group namespace, by its mounts",
      {
        ...CHILD,
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": `31 30 8:1 /var/lib/nerdctl/1935db59/etchosts/default/${ID}/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n`,
      },
      "docker",
      null,
    ],
    [
      "rootless Podman with the host's PIDs",
      {
        ...FIRST,
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": `31 30 0:50 /containers/overlay-containers/${ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n`,
      },
      "docker",
      null,
    ],
    [
      "a bare containerd task, by the layers of its root",
      {
        ...CHILD,
        "proc/self/mountinfo":
          "30 29 0:60 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/52/fs\n",
      },
      "docker",
      null,
    ],
    [
      "a shell in a named network namespace, which has its own /etc/hosts",
      { ...FIRST, "proc/self/mountinfo": "31 30 8:1 /etc/netns/blue/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n" },
      "host",
      null,
    ],
    [
      "a /proc of another PID namespace, without this process in it, /.dockerenv left over",
      { ".dockerenv": "", "proc/sys/kernel/osrelease": "6.18.44\n" },
      "host",
      null,
    ],
    ["LXC by its group", { ...CHILD, "proc/self/cgroup": "0::/lxc.payload.web/init.scope\n" }, "lxc", null],
    ["LXC of version 1", { ...CHILD, "proc/self/cgroup": "4:memory:/lxc/101\n0::/\n" }, "lxc", null],
    [
      "LXD or Incus by lxcfs, a service in it",
      {
        ...CHILD,
        "proc/self/cgroup": "0::/system.slice/push.service\n",
        "proc/self/mountinfo": "90 89 0:45 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n",
      },
      "lxc",
      "push.service",
    ],
    ["LXC by its first process", { ...CHILD, "proc/1/environ": "container=lxc\0" }, "lxc", null],
    ["LXC as systemd writes it down", { ...CHILD, "run/systemd/container": "lxc\n" }, "lxc", null],
    ["Docker in LXC", { ...CHILD, "proc/self/cgroup": `0::/lxc/web/docker/${ID}\n` }, "docker", null],
    [
      "a shell on the host of LXC containers",
      {
        ...FIRST,
        "proc/self/cgroup": "0::/user.slice/user-0.slice/session-1.scope\n",
        "proc/self/mountinfo": "90 89 0:45 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw\n",
      },
      "host",
      null,
    ],
  ];
  for (const [name, files, runtime, unit] of cases) {
    it(`${name}: ${runtime}`, () => {
      assert.deepEqual(inTree(files, runtimeOf), { runtime, unit });
    });
  }
});

describe("limits of control groups", () => {
  it("are the tightest on the way up, less what cannot be reclaimed", () => {
    const files = {
      "proc/self/cgroup": "0::/a.slice/b.service\n",
      "sys/fs/cgroup/a.slice/memory.max": "1000000",
      "sys/fs/cgroup/a.slice/memory.current": "900000",
      "sys/fs/cgroup/a.slice/memory.stat": "inactive_file 300000\n",
      "sys/fs/cgroup/a.slice/b.service/memory.max": "max",
      "sys/fs/cgroup/a.slice/b.service/memory.high": "700000",
      "sys/fs/cgroup/a.slice/b.service/memory.current": "100000",
    };
    assert.deepEqual(inTree(files, groupMemory), { limit: 1_000_000, used: 600_000, at: "/a.slice", version: 2 });
  });

  it("count memory.high of version 2: above it the group is put to sleep", () => {
    const files = {
      "proc/self/cgroup": "0::/x\n",
      "sys/fs/cgroup/x/memory.max": "max",
      "sys/fs/cgroup/x/memory.high": "5",
    };
    assert.deepEqual(inTree(files, groupMemory), { limit: 5, used: 0, at: "/x", version: 2 });
  });

  it("are those of the mount's root where the path is the host's, as in a container of version 1", () => {
    const files = {
      "proc/self/cgroup": "9:memory:/docker/4f1c\n8:pids:/docker/4f1c\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000",
      "sys/fs/cgroup/pids/pids.max": "100",
      "sys/fs/cgroup/pids/pids.current": "7",
    };
    assert.deepEqual(inTree(files, groupMemory), { limit: 5000, used: 0, at: "/memory", version: 1 });
    assert.deepEqual(inTree(files, groupTasks), { limit: 100, used: 7, at: "/pids" });
  });

  it("are none where version 1 writes its maximum, and where nothing can be read", () => {
    const unlimited = {
      "proc/self/cgroup": "4:memory:/\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    };
    assert.equal(inTree(unlimited, groupMemory), null);
    assert.equal(inTree({}, groupMemory), null);
    assert.equal(inTree({ "proc/self/cgroup": "0::/../../other\n" }, groupTasks), null);
  });
});
